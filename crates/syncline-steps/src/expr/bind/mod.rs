//! From a syntax tree to a typed expression: names become columns, types meet by PostgreSQL's
//! rules, and every mistake that can be seen without a row is found.
//!
//! What is made of constants only is computed here, as PostgreSQL does when it plans: a constant
//! division by zero is an error even in a branch of CASE that no row takes.

mod call;
mod data_type;
mod literal;
mod operator;
mod predicate;
mod typed;

use sqlparser::{
    ast::{self, BinaryOperator, CaseWhen, Ident, Spanned, UnaryOperator},
    tokenizer::Location,
};
use syncline_types::{Comparison, LogicalType};

pub(crate) use data_type::named as type_named;

use self::typed::{Typed, common_type, folded};
use super::{
    functions,
    kind::Kind,
    node::{Expr, Kernel, Node},
    parse,
    problem::Problem,
};

/// Most operators, calls and the like within each other, chains of AND and OR counting once. It
/// bounds the recursion of everything that walks an expression.
const EXPRESSION_DEPTH_MAX: usize = 100;

/// A column that an expression may name.
#[derive(Clone, Debug)]
pub(crate) struct ScopeColumn {
    pub(crate) name: String,
    pub(crate) slot: usize,
    pub(crate) logical: LogicalType,
    pub(crate) nullable: bool,
}

/// Binds an expression; a bare string or NULL is text.
pub(crate) fn value(text: &str, scope: &[ScopeColumn]) -> Result<Expr, Problem> {
    value_for(text, scope, LogicalType::TEXT)
}

/// Binds an expression; a bare NULL is of type `null_type`.
pub(crate) fn value_for(text: &str, scope: &[ScopeColumn], null_type: LogicalType) -> Result<Expr, Problem> {
    let tree = parse::expression(text)?;
    let typed = Binder { scope, depth: 0, locals: 0 }.expr(&tree)?;
    match (typed.unknown, typed.expr.is_null_literal()) {
        (true, true) => typed.cast(null_type),
        (true, false) => typed.cast(LogicalType::TEXT),
        (false, _) => Ok(typed.expr),
    }
}

/// Binds a condition.
pub(crate) fn condition(text: &str, scope: &[ScopeColumn]) -> Result<Expr, Problem> {
    let tree = parse::expression(text)?;
    let mut binder = Binder { scope, depth: 0, locals: 0 };
    let typed = binder.expr(&tree)?;
    truth(typed, "a condition")
}

/// Binds the conversion of one column, which is there.
pub(crate) fn conversion(column: &ScopeColumn, to: LogicalType) -> Result<Expr, Problem> {
    let value = Typed::known(Expr::column(column.slot, column.logical, column.nullable), None);
    let expr = call::explicit_cast(value, to)?;
    // What is said of a column's type holds to the letter, also where a narrower one would do.
    Typed::known(expr, None).cast(to)
}

/// A value that must be true, false or NULL.
fn truth(value: Typed, what: &str) -> Result<Expr, Problem> {
    if value.unknown || value.kind() == Kind::Bool {
        return value.into_kind(Kind::Bool);
    }
    let reason = format!("{what} is boolean, and this is {}", value.type_name());
    Err(Problem::new(value.at, reason))
}

struct Binder<'a> {
    scope: &'a [ScopeColumn],
    depth: usize,
    /// Values given a number so far.
    locals: usize,
}

impl Binder<'_> {
    fn expr(&mut self, tree: &ast::Expr) -> Result<Typed, Problem> {
        if self.depth >= EXPRESSION_DEPTH_MAX {
            let reason = format!("it nests deeper than {EXPRESSION_DEPTH_MAX} levels");
            return Err(Problem::new(start(tree), reason));
        }
        self.depth += 1;
        let result = self.dispatch(tree);
        self.depth -= 1;
        // Parts of a syntax tree that have no place of their own get the nearest one.
        result.map(|typed| Typed { at: typed.at.or_else(|| start(tree)), ..typed })
    }

    fn dispatch(&mut self, tree: &ast::Expr) -> Result<Typed, Problem> {
        use ast::Expr as E;
        let at = start(tree);
        match tree {
            E::Nested(inner) => self.expr(inner),
            E::Identifier(name) => self.column(name),
            E::CompoundIdentifier(names) => self.fields(names),
            E::Value(value) => literal::value(value),
            E::TypedString(string) => literal::typed_string(string, at),
            E::Interval(interval) => literal::interval(interval, at),
            E::Cast { kind, expr, data_type, format: None } => self.cast(kind, expr, data_type),
            E::UnaryOp { op: UnaryOperator::Not, expr } => self.not(expr),
            E::UnaryOp { op, expr } => self.unary(*op, expr),
            E::BinaryOp { op: op @ (BinaryOperator::And | BinaryOperator::Or), .. } => {
                self.junction(tree, op)
            }
            E::BinaryOp { left, op, right } => self.binary(left, op, right),
            E::Case { operand, conditions, else_result, .. } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref(), at)
            }
            E::Function(function) => self.function(function, at),
            _ => match self.predicate(tree) {
                Some(result) => result,
                None => self.syntax(tree, at),
            },
        }
    }

    fn column(&mut self, name: &Ident) -> Result<Typed, Problem> {
        let at = parse::located(name.span.start);
        let column = self.find(name).ok_or_else(|| {
            let known = self.scope.iter().map(|column| column.name.as_str());
            Problem::unknown_column(at, &name.value, known)
        })?;
        Ok(Typed::known(Expr::column(column.slot, column.logical, column.nullable), at))
    }

    /// In quotes a name is as written. Without, it is folded to lower case as in PostgreSQL; where
    /// there is no such column, the only one that differs in case alone is meant.
    fn find(&self, name: &Ident) -> Option<&ScopeColumn> {
        let exact = |wanted: &str| self.scope.iter().find(|column| column.name == wanted);
        if name.quote_style.is_some() {
            return exact(&name.value);
        }
        let folded = name.value.to_lowercase();
        exact(&folded).or_else(|| {
            let mut alike = self.scope.iter().filter(|column| column.name.to_lowercase() == folded);
            alike.next().filter(|_| alike.next().is_none())
        })
    }

    /// `document.field.field`
    fn fields(&mut self, names: &[Ident]) -> Result<Typed, Problem> {
        let Some((first, fields)) = names.split_first() else {
            return Err(Problem::new(None, "a name is empty"));
        };
        let document = self.column(first)?;
        if document.kind() != Kind::Json {
            let reason = format!("`{}` is {}, so it has no fields", first.value, document.type_name());
            return Err(Problem::new(document.at, reason)
                .hint("Only JSON has fields; a column with a dot in its name is written in double quotes"));
        }
        let (at, logical) = (document.at, document.logical());
        let mut args = vec![document.expr];
        for field in fields {
            args.push(Typed::unknown(Some(&field.value), at).cast(LogicalType::TEXT)?);
        }
        let node = Node::Call { kernel: Kernel::new(functions::path), args };
        Ok(Typed::known(folded(Expr { node, logical, nullable: true }, at)?, at))
    }

    fn not(&mut self, inner: &ast::Expr) -> Result<Typed, Problem> {
        let value = truth(self.expr(inner)?, "what NOT turns round")?;
        boolean(Node::Not(Box::new(value.clone())), value.nullable, start(inner))
    }

    /// AND or OR. A chain is one node, however long it is.
    fn junction(&mut self, tree: &ast::Expr, op: &BinaryOperator) -> Result<Typed, Problem> {
        let mut parts = vec![];
        let mut next = tree;
        let first = loop {
            match next {
                ast::Expr::BinaryOp { left, op: inner, right } if inner == op => {
                    parts.push(right.as_ref());
                    next = left;
                }
                other => break other,
            }
        };
        parts.push(first);
        let what = if *op == BinaryOperator::And { "a side of AND" } else { "a side of OR" };
        let parts = parts
            .into_iter()
            .rev()
            .map(|part| truth(self.expr(part)?, what))
            .collect::<Result<Vec<_>, Problem>>()?;
        let nullable = parts.iter().any(|part| part.nullable);
        let node = if *op == BinaryOperator::And { Node::And(parts) } else { Node::Or(parts) };
        boolean(node, nullable, start(tree))
    }

    fn case(
        &mut self,
        operand: Option<&ast::Expr>,
        conditions: &[CaseWhen],
        otherwise: Option<&ast::Expr>,
        at: Option<Location>,
    ) -> Result<Typed, Problem> {
        let operand = operand.map(|operand| self.expr(operand)).transpose()?;
        let (operand, shared) = match operand {
            Some(operand) => {
                let (value, shared) = self.shared(operand);
                (Some(value), shared)
            }
            None => (None, None),
        };
        let mut whens = vec![];
        let mut values = vec![];
        for CaseWhen { condition, result } in conditions {
            let condition = self.expr(condition)?;
            whens.push(match &operand {
                Some(operand) => operator::compare(Comparison::Equal, operand.clone(), condition)?.expr,
                None => truth(condition, "a condition of CASE")?,
            });
            values.push(self.expr(result)?);
        }
        let otherwise = otherwise.map(|value| self.expr(value)).transpose()?;
        let logical = common_type(&values.iter().chain(&otherwise).collect::<Vec<_>>())?;
        let values =
            values.into_iter().map(|value| value.cast(logical)).collect::<Result<Vec<_>, Problem>>()?;
        let otherwise = otherwise.map(|value| value.cast(logical)).transpose()?;
        let nullable = otherwise.as_ref().is_none_or(|value| value.nullable)
            || values.iter().any(|value| value.nullable);
        let branches = whens.into_iter().zip(values).collect();
        let node = Node::Case { branches, otherwise: otherwise.map(Box::new) };
        let expr = folded(Expr { node, logical, nullable }, at)?;
        Ok(Typed::known(within(shared, expr), at))
    }

    /// Makes a value fit to be used several times: it is computed once. The second part is what
    /// [`within`] needs to put the computing around the use.
    fn shared(&mut self, value: Typed) -> (Typed, Option<Shared>) {
        if matches!(value.expr.node, Node::Column(_) | Node::Literal(_) | Node::Local(_)) {
            return (value, None);
        }
        let local = self.locals;
        self.locals += 1;
        let Typed { expr, unknown, at } = value;
        let reader = Expr { node: Node::Local(local), logical: expr.logical, nullable: expr.nullable };
        (Typed { expr: reader, unknown, at }, Some(Shared { local, value: expr }))
    }
}

/// A value to be computed once for several uses.
struct Shared {
    local: usize,
    value: Expr,
}

/// `body`, with the shared value computed around it.
fn within(shared: Option<Shared>, body: Expr) -> Expr {
    match shared {
        None => body,
        Some(Shared { local, value }) => {
            let (logical, nullable) = (body.logical, body.nullable);
            let node = Node::Let { local, value: Box::new(value), body: Box::new(body) };
            Expr { node, logical, nullable }
        }
    }
}

/// A boolean node.
fn boolean(node: Node, nullable: bool, at: Option<Location>) -> Result<Typed, Problem> {
    Ok(Typed::known(folded(Expr { node, logical: LogicalType::Bool, nullable }, at)?, at))
}

/// Where an expression begins. Walks down its left side instead of asking the tree, which would
/// recurse through all of it.
fn start(tree: &ast::Expr) -> Option<Location> {
    use ast::Expr as E;
    let mut next = tree;
    loop {
        next = match next {
            E::BinaryOp { left, .. } => left,
            E::Cast { kind: ast::CastKind::DoubleColon, expr, .. }
            | E::IsNull(expr)
            | E::IsNotNull(expr)
            | E::IsTrue(expr)
            | E::IsNotTrue(expr)
            | E::IsFalse(expr)
            | E::IsNotFalse(expr)
            | E::IsUnknown(expr)
            | E::IsNotUnknown(expr)
            | E::IsDistinctFrom(expr, _)
            | E::IsNotDistinctFrom(expr, _)
            | E::InList { expr, .. }
            | E::Between { expr, .. }
            | E::Like { expr, .. }
            | E::ILike { expr, .. }
            | E::Nested(expr)
            | E::UnaryOp { expr, .. }
            | E::Cast { expr, .. }
            | E::Extract { expr, .. }
            | E::Ceil { expr, .. }
            | E::Floor { expr, .. }
            | E::Trim { expr, .. }
            | E::Position { expr, .. }
            | E::Substring { expr, .. } => expr,
            E::Identifier(name) => return parse::located(name.span.start),
            E::CompoundIdentifier(names) => {
                return names.first().and_then(|name| parse::located(name.span.start));
            }
            E::Value(value) => return parse::located(value.span.start),
            E::TypedString(string) => return parse::located(string.value.span.start),
            E::Case { case_token, .. } => return parse::located(case_token.0.span.start),
            E::Function(function) => return parse::located(function.name.span().start),
            E::Interval(interval) => &interval.value,
            _ => return None,
        };
    }
}
