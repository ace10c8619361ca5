//! IS, BETWEEN, IN and LIKE.

use sqlparser::{ast::Expr as E, tokenizer::Location};
use syncline_types::Comparison;

use super::{
    Binder, boolean,
    operator::compare,
    start, truth,
    typed::{Typed, comparable},
    within,
};
use crate::expr::{
    kind::Kind,
    node::{Expr, Node},
    pattern::{Like, like},
    problem::Problem,
};

impl Binder<'_> {
    /// The predicate that a tree is, if it is one.
    pub(super) fn predicate(&mut self, tree: &E) -> Option<Result<Typed, Problem>> {
        let at = start(tree);
        Some(match tree {
            E::IsNull(value) => self.is_null(value, false),
            E::IsNotNull(value) => self.is_null(value, true),
            E::IsTrue(value) => self.is_truth(value, true, false),
            E::IsNotTrue(value) => self.is_truth(value, true, true),
            E::IsFalse(value) => self.is_truth(value, false, false),
            E::IsNotFalse(value) => self.is_truth(value, false, true),
            E::IsUnknown(value) => self.is_unknown(value, false),
            E::IsNotUnknown(value) => self.is_unknown(value, true),
            E::IsDistinctFrom(left, right) => self.distinct(left, right, false),
            E::IsNotDistinctFrom(left, right) => self.distinct(left, right, true),
            E::InList { expr, list, negated } => self.in_list(expr, list, *negated, at),
            E::Between { expr, negated, low, high } => self.between(expr, low, high, *negated, at),
            E::Like { negated, any: false, expr, pattern, escape_char } => {
                self.like(expr, pattern, escape_char.as_deref(), false, *negated)
            }
            E::ILike { negated, any: false, expr, pattern, escape_char } => {
                self.like(expr, pattern, escape_char.as_deref(), true, *negated)
            }
            _ => return None,
        })
    }

    fn is_null(&mut self, value: &E, negated: bool) -> Result<Typed, Problem> {
        let value = self.expr(value)?;
        boolean(Node::IsNull { value: Box::new(value.expr), negated }, false, value.at)
    }

    fn is_truth(&mut self, value: &E, of: bool, negated: bool) -> Result<Typed, Problem> {
        let value = self.expr(value)?;
        let at = value.at;
        let value = truth(value, "what stands before IS")?;
        boolean(Node::IsTruth { value: Box::new(value), truth: of, negated }, false, at)
    }

    fn is_unknown(&mut self, value: &E, negated: bool) -> Result<Typed, Problem> {
        let value = self.expr(value)?;
        let at = value.at;
        let value = truth(value, "what stands before IS")?;
        boolean(Node::IsNull { value: Box::new(value), negated }, false, at)
    }

    fn distinct(&mut self, left: &E, right: &E, negated: bool) -> Result<Typed, Problem> {
        let (left, right) = (self.expr(left)?, self.expr(right)?);
        let at = left.at;
        let (left, right) = comparable(left, right)?;
        boolean(Node::Distinct { left: Box::new(left), right: Box::new(right), negated }, false, at)
    }

    fn in_list(
        &mut self,
        value: &E,
        list: &[E],
        negated: bool,
        at: Option<Location>,
    ) -> Result<Typed, Problem> {
        let value = self.expr(value)?;
        let (value, shared) = self.shared(value);
        let mut parts = vec![];
        for item in list {
            let item = self.expr(item)?;
            parts.push(compare(Comparison::Equal, value.clone(), item)?.expr);
        }
        if parts.is_empty() {
            return Err(Problem::new(at, "the list of IN is empty"));
        }
        let nullable = parts.iter().any(|part| part.nullable);
        let any = boolean(Node::Or(parts), nullable, at)?;
        let result = negated_if(negated, any)?;
        Ok(Typed { expr: within(shared, result.expr), ..result })
    }

    fn between(
        &mut self,
        value: &E,
        low: &E,
        high: &E,
        negated: bool,
        at: Option<Location>,
    ) -> Result<Typed, Problem> {
        let value = self.expr(value)?;
        let (value, shared) = self.shared(value);
        let (low, high) = (self.expr(low)?, self.expr(high)?);
        let parts = vec![
            compare(Comparison::GreaterOrEqual, value.clone(), low)?.expr,
            compare(Comparison::LessOrEqual, value, high)?.expr,
        ];
        let nullable = parts.iter().any(|part| part.nullable);
        let both = boolean(Node::And(parts), nullable, at)?;
        let result = negated_if(negated, both)?;
        Ok(Typed { expr: within(shared, result.expr), ..result })
    }

    fn like(
        &mut self,
        value: &E,
        pattern: &E,
        escape: Option<&E>,
        ignore_case: bool,
        negated: bool,
    ) -> Result<Typed, Problem> {
        let (value, pattern) = (self.expr(value)?, self.expr(pattern)?);
        let at = value.at;
        let escape = match escape {
            None => Some('\\'),
            Some(escape) => escape_character(&self.expr(escape)?)?,
        };
        for side in [&value, &pattern] {
            if side.kind() != Kind::Text {
                let reason = format!("LIKE compares text, and this is {}", side.type_name());
                return Err(Problem::new(side.at, reason).hint("Cast it to text"));
            }
        }
        let nullable = value.expr.nullable || pattern.expr.nullable;
        // Here, unlike in comparisons, the blanks that pad a value count.
        let args = vec![value.expr, pattern.expr];
        let kernel = like(Like { escape, ignore_case, negated });
        boolean(Node::Call { kernel, args }, nullable, at)
    }
}

/// The character of ESCAPE; an empty string means none.
fn escape_character(escape: &Typed) -> Result<Option<char>, Problem> {
    let problem = || Problem::new(escape.at, "ESCAPE takes a constant string of one character or none");
    let mut chars = escape.string().ok_or_else(problem)?.chars();
    let first = chars.next();
    if chars.next().is_some() { Err(problem()) } else { Ok(first) }
}

fn negated_if(negated: bool, value: Typed) -> Result<Typed, Problem> {
    if !negated {
        return Ok(value);
    }
    let (nullable, at) = (value.expr.nullable, value.at);
    let inner: Expr = value.expr;
    boolean(Node::Not(Box::new(inner)), nullable, at)
}
