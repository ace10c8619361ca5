//! Calls: which version of a function is meant, and the functions that have a syntax of their own.

use arrow_array::Array;
use sqlparser::{
    ast::{
        self, CastKind, CeilFloorKind, DateTimeField, Expr as E, Function as Called, FunctionArg,
        FunctionArgExpr, FunctionArguments, ObjectNamePart, TrimWhereField,
    },
    tokenizer::Location,
};
use syncline_types::{Comparison, LogicalType};

use super::{
    Binder, data_type,
    operator::compare,
    typed::{Typed, common_type, exact_type, folded},
    within,
};
use crate::expr::{
    cast::castable,
    choose,
    compare::{self, comparable},
    eval::Evaluated,
    fault::Faults,
    functions::{self, Overload, Returns},
    kind::Kind,
    node::{Expr, Kernel, Node},
    operand::Operand,
    problem::Problem,
};

/// `cast(value as type)`
pub(super) fn explicit_cast(value: Typed, to: LogicalType) -> Result<Expr, Problem> {
    let (from, target) = (value.kind(), Kind::of(to));
    if !value.unknown && !castable(from, target) {
        return Err(Problem::new(value.at, format!("{from} cannot be cast to {target}")));
    }
    if to != LogicalType::Numeric {
        return value.cast(to);
    }
    // Without digits asked for, a number keeps those that it has.
    let is_constant_text = value.unknown && value.string().is_some();
    if is_constant_text || from.is_integer() || (from == Kind::Number && !value.unknown) {
        let own = exact_type(&value);
        return value.cast(own);
    }
    value.cast(to)
}

/// The version of a function that PostgreSQL would take: one that fits just so, else one that needs
/// the fewest conversions, and of those one that converts to preferred types.
pub(super) fn resolve<'a>(overloads: &'a [Overload], args: &[Typed]) -> Option<&'a Overload> {
    let fits = |overload: &&Overload| {
        overload.params.len() == args.len()
            && overload.params.iter().zip(args).all(|(param, arg)| arg.unknown || arg.kind().becomes(*param))
    };
    // Of equals the first counts, and `max_by_key` gives the last.
    overloads.iter().rev().filter(fits).max_by_key(|overload| rank(overload, args))
}

/// How well arguments fit: how many need no conversion, how many that or one to a preferred type,
/// and how many bare strings are taken as text or as another preferred type.
pub(super) fn rank(overload: &Overload, args: &[Typed]) -> (usize, usize, usize, usize) {
    let count = |wanted: fn(Kind, &Typed) -> bool| {
        overload.params.iter().zip(args).filter(|(param, arg)| wanted(**param, arg)).count()
    };
    (
        count(|param, arg| !arg.unknown && arg.kind() == param),
        count(|param, arg| !arg.unknown && (arg.kind() == param || param.is_preferred())),
        count(|param, arg| arg.unknown && param == Kind::Text),
        count(|param, arg| arg.unknown && param.is_preferred()),
    )
}

/// The call of a version with arguments that fit it.
pub(super) fn bound(overload: &Overload, args: Vec<Typed>, at: Option<Location>) -> Result<Typed, Problem> {
    let args = args
        .into_iter()
        .zip(overload.params)
        .map(|(arg, param)| arg.into_kind(*param))
        .collect::<Result<Vec<_>, Problem>>()?;
    let logical = match overload.returns {
        Returns::Type(logical) => logical,
        Returns::By(of) => of(&args),
    };
    let nullable = !overload.strict || args.iter().any(|arg| arg.nullable);
    let node = Node::Call { kernel: Kernel::new(overload.run), args };
    Ok(Typed::known(folded(Expr { node, logical, nullable }, at)?, at))
}

/// A function of the table, by name.
fn call(name: &str, args: Vec<Typed>, at: Option<Location>) -> Result<Typed, Problem> {
    if let Some(why) = functions::refused(name) {
        return Err(Problem::new(at, format!("`{name}` is left out: {why}")));
    }
    let Some(function) = functions::find(name) else {
        let problem = Problem::new(at, format!("there is no function `{name}`"));
        return Err(problem.did_you_mean(name, functions::names()));
    };
    if name == "date_trunc" {
        check_field(args.first())?;
    }
    if let [Overload { variadic: true, params, .. }] = function.overloads {
        return variadic(&function.overloads[0], params.len(), args, at, name);
    }
    match resolve(function.overloads, &args) {
        Some(overload) => bound(overload, args, at),
        None => Err(mismatch(name, function.overloads, &args, at)),
    }
}

/// A unit of time given as a constant can be looked at now.
fn check_field(field: Option<&Typed>) -> Result<(), Problem> {
    match field.and_then(|field| Some((field, field.string()?))) {
        Some((field, name)) if functions::field_named(name).is_none() => Err(unknown_field(name, field.at)),
        _ => Ok(()),
    }
}

fn unknown_field(name: &str, at: Option<Location>) -> Problem {
    Problem::new(at, format!("there is no field `{name}`")).did_you_mean(name, functions::field_names())
}

/// `concat` and its like: everything is turned into text.
fn variadic(
    overload: &Overload,
    least: usize,
    args: Vec<Typed>,
    at: Option<Location>,
    name: &str,
) -> Result<Typed, Problem> {
    if args.len() < least {
        return Err(Problem::new(at, format!("`{name}` takes at least {least} values")));
    }
    let args =
        args.into_iter().map(|arg| arg.cast(LogicalType::TEXT)).collect::<Result<Vec<_>, Problem>>()?;
    // `concat` alone never gives NULL; a separator may make it.
    let nullable = least > 1 && args[0].nullable;
    let node = Node::Call { kernel: Kernel::new(overload.run), args };
    Ok(Typed::known(folded(Expr { node, logical: LogicalType::TEXT, nullable }, at)?, at))
}

fn mismatch(name: &str, overloads: &[Overload], args: &[Typed], at: Option<Location>) -> Problem {
    let list = |kinds: Vec<String>| format!("{name}({})", kinds.join(", "));
    let given = list(args.iter().map(Typed::type_name).collect());
    let known: Vec<String> = overloads
        .iter()
        .map(|overload| list(overload.params.iter().map(Kind::to_string).collect()))
        .collect();
    Problem::new(at, format!("there is no {given}")).hint(format!("There is {}", known.join(", ")))
}

impl Binder<'_> {
    pub(super) fn cast(&mut self, how: &CastKind, value: &E, to: &ast::DataType) -> Result<Typed, Problem> {
        let value = self.expr(value)?;
        let at = value.at;
        if !matches!(how, CastKind::Cast | CastKind::DoubleColon) {
            return Err(Problem::new(at, "only CAST and `::` convert values"));
        }
        Ok(Typed::known(explicit_cast(value, data_type::resolve(to, at)?)?, at))
    }

    pub(super) fn function(&mut self, called: &Called, at: Option<Location>) -> Result<Typed, Problem> {
        let name = function_name(called).ok_or_else(|| Problem::new(at, "a function's name has one part"))?;
        if let Some(why) = functions::refused(&name) {
            return Err(Problem::new(at, format!("`{name}` is left out: {why}")));
        }
        let plain = called.over.is_none()
            && called.filter.is_none()
            && called.null_treatment.is_none()
            && called.within_group.is_empty()
            && matches!(called.parameters, FunctionArguments::None);
        let FunctionArguments::List(list) = &called.args else {
            return Err(Problem::new(at, format!("`{name}` is called with its values in parentheses")));
        };
        if !plain || list.duplicate_treatment.is_some() || !list.clauses.is_empty() {
            return Err(Problem::new(at, format!("`{name}` takes plain values and nothing else")));
        }
        let mut args = vec![];
        for arg in &list.args {
            let FunctionArg::Unnamed(FunctionArgExpr::Expr(arg)) = arg else {
                return Err(Problem::new(at, format!("`{name}` takes plain values and nothing else")));
            };
            args.push(self.expr(arg)?);
        }
        self.call(&name, args, at)
    }

    fn call(&mut self, name: &str, args: Vec<Typed>, at: Option<Location>) -> Result<Typed, Problem> {
        match name {
            "coalesce" => coalesce(args, at),
            "greatest" => extreme(Comparison::Greater, args, at),
            "least" => extreme(Comparison::Less, args, at),
            "nullif" => self.nullif(args, at),
            "date_part" => date_part(args, at),
            name => call(name, args, at),
        }
    }

    fn nullif(&mut self, args: Vec<Typed>, at: Option<Location>) -> Result<Typed, Problem> {
        let Ok([value, other]) = <[Typed; 2]>::try_from(args) else {
            return Err(Problem::new(at, "`nullif` takes two values"));
        };
        let (value, shared) = self.shared(promoted(value, &other)?);
        let same = compare(Comparison::Equal, value.clone(), other)?.expr;
        let logical = value.logical();
        let null = Typed::unknown(None, at).cast(logical)?;
        let node = Node::Case { branches: vec![(same, null)], otherwise: Some(Box::new(value.expr)) };
        let expr = folded(Expr { node, logical, nullable: true }, at)?;
        Ok(Typed::known(within(shared, expr), at))
    }

    /// What is left: functions with keywords between their arguments, and what we do not know.
    pub(super) fn syntax(&mut self, tree: &E, at: Option<Location>) -> Result<Typed, Problem> {
        match tree {
            E::Substring { expr, substring_from, substring_for, .. } => {
                let mut args = vec![self.expr(expr)?];
                match (substring_from, substring_for) {
                    (None, Some(_)) => args.push(literal_one(at)?),
                    (Some(from), _) => args.push(self.expr(from)?),
                    (None, None) => {}
                }
                if let Some(length) = substring_for {
                    args.push(self.expr(length)?);
                }
                call("substring", args, at)
            }
            E::Trim { trim_where, trim_what, expr, trim_characters } => {
                let mut args = vec![self.expr(expr)?];
                for set in trim_what.iter().map(AsRef::as_ref).chain(trim_characters.iter().flatten()) {
                    args.push(self.expr(set)?);
                }
                let name = match trim_where {
                    None | Some(TrimWhereField::Both) => "btrim",
                    Some(TrimWhereField::Leading) => "ltrim",
                    Some(TrimWhereField::Trailing) => "rtrim",
                };
                call(name, args, at)
            }
            E::Position { expr, r#in } => {
                let args = vec![self.expr(r#in)?, self.expr(expr)?];
                call("strpos", args, at)
            }
            E::Ceil { expr, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) } => {
                let args = vec![self.expr(expr)?];
                call("ceil", args, at)
            }
            E::Floor { expr, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) } => {
                let args = vec![self.expr(expr)?];
                call("floor", args, at)
            }
            E::Extract { field, expr, .. } => {
                let value = self.expr(expr)?;
                extract(&field_name(field), value, false, at)
            }
            _ => Err(not_understood(tree, at)),
        }
    }
}

/// The first value of NULLIF as PostgreSQL's `=` takes it: that has versions for integers of several
/// widths and for floats of several widths, but turns other unlike types into one.
fn promoted(value: Typed, other: &Typed) -> Result<Typed, Problem> {
    let (own, kind) = (value.kind(), other.kind());
    let at = value.at;
    let apart = own.is_number() && kind.is_number() && own != kind;
    let has_version = (own.is_integer() && kind.is_integer()) || (own.is_float() && kind.is_float());
    let to = match own.arithmetic(kind) {
        _ if value.unknown && !other.unknown => return Ok(Typed::known(value.cast(kind.logical())?, at)),
        _ if value.unknown || other.unknown => return Ok(value),
        Some(Kind::Number) if apart && !has_version => exact_type(&value),
        Some(to) if apart && !has_version => to.logical(),
        Some(Kind::Interval) if own == Kind::Time => LogicalType::Interval,
        _ => return Ok(value),
    };
    Ok(Typed::known(value.cast(to)?, at))
}

fn literal_one(at: Option<Location>) -> Result<Typed, Problem> {
    Ok(Typed::known(Typed::unknown(Some("1"), at).cast(LogicalType::Int32)?, at))
}

/// The name of a field as it is written, without quotes.
fn field_name(field: &DateTimeField) -> String {
    match field {
        DateTimeField::Custom(name) => name.value.clone(),
        field => field.to_string(),
    }
}

fn function_name(called: &Called) -> Option<String> {
    let [ObjectNamePart::Identifier(name)] = called.name.0.as_slice() else { return None };
    Some(if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() })
}

/// A construct of SQL that the language does not have, by its name.
fn not_understood(tree: &E, at: Option<Location>) -> Problem {
    let what = match tree {
        E::Subquery(_) | E::Exists { .. } | E::InSubquery { .. } => "a subquery",
        E::AtTimeZone { .. } => "AT TIME ZONE",
        E::SimilarTo { .. } => "SIMILAR TO",
        E::Collate { .. } => "COLLATE",
        E::Array(_) | E::AnyOp { .. } | E::AllOp { .. } | E::InUnnest { .. } => "an array",
        E::CompoundFieldAccess { .. } => "a subscript",
        E::Tuple(_) => "a row of several values",
        E::Overlay { .. } => "overlay",
        E::Wildcard(_) | E::QualifiedWildcard(..) => "`*`",
        E::Ceil { .. } | E::Floor { .. } => "ceil and floor to a unit",
        E::Like { .. } | E::ILike { .. } => "LIKE ANY",
        E::IsJson { .. } => "IS JSON",
        _ => "this construct",
    };
    Problem::new(at, format!("{what} is not part of the language"))
}

fn coalesce(args: Vec<Typed>, at: Option<Location>) -> Result<Typed, Problem> {
    if args.is_empty() {
        return Err(Problem::new(at, "`coalesce` takes at least one value"));
    }
    let logical = common_type(&args.iter().collect::<Vec<_>>())?;
    let values = args.into_iter().map(|arg| arg.cast(logical)).collect::<Result<Vec<_>, Problem>>()?;
    let nullable = values.iter().all(|value| value.nullable);
    Ok(Typed::known(folded(Expr { node: Node::Coalesce(values), logical, nullable }, at)?, at))
}

/// `greatest` and `least`, which pass over NULL.
fn extreme(wins: Comparison, args: Vec<Typed>, at: Option<Location>) -> Result<Typed, Problem> {
    if args.is_empty() {
        return Err(Problem::new(at, "`greatest` and `least` take at least one value"));
    }
    let logical = common_type(&args.iter().collect::<Vec<_>>())?;
    if !comparable(logical) {
        return Err(Problem::new(at, format!("values that are {} have no order", Kind::of(logical))));
    }
    let args = args.into_iter().map(|arg| arg.cast(logical)).collect::<Result<Vec<_>, Problem>>()?;
    let nullable = args.iter().all(|arg| arg.nullable);
    let kernel = Kernel::new(move |call| {
        let mut best = well(call.args[0].clone());
        for next in &call.args[1..] {
            let next = well(next.clone());
            let left = Operand::column(next.values.clone().expanded(call.rows)?);
            let (better, faults) = compare::compare(wins, &left, &best.values, logical, call.rows)?;
            let (array, picked) = choose::pick(&[&best, &next], logical, call.rows, |row| {
                if let Some(fault) = faults.get(row) {
                    return Err(fault);
                }
                let first = best.values.is_null(row) && best.faults.get(row).is_none();
                Ok(Some(usize::from(first || (better.is_valid(row) && better.value(row)))))
            })?;
            best = Evaluated { values: Operand::column(array), faults: picked };
        }
        Ok((best.values.expanded(call.rows)?, best.faults))
    });
    Ok(Typed::known(folded(Expr { node: Node::Call { kernel, args }, logical, nullable }, at)?, at))
}

fn well(values: Operand) -> Evaluated {
    Evaluated { values, faults: Faults::default() }
}

fn date_part(args: Vec<Typed>, at: Option<Location>) -> Result<Typed, Problem> {
    let Ok([field, value]) = <[Typed; 2]>::try_from(args) else {
        return Err(Problem::new(at, "`date_part` takes a field's name and a value"));
    };
    let Some(name) = field.string().map(str::to_owned) else {
        return Err(Problem::new(field.at, "the field is named by a constant string"));
    };
    extract(&name, value, true, at)
}

/// `extract(field from value)`, or `date_part`, which gives a float and takes a date as a timestamp.
fn extract(name: &str, value: Typed, as_float: bool, at: Option<Location>) -> Result<Typed, Problem> {
    let Some(field) = functions::field_named(name) else {
        return Err(unknown_field(name, at));
    };
    let kind = match (value.unknown, value.kind()) {
        (true, _) => {
            return Err(
                Problem::new(value.at, "this string has no type").hint("Say which: `timestamp '...'`")
            );
        }
        (false, Kind::Date) if as_float => Kind::Timestamp,
        (false, kind) => kind,
    };
    let Some(exact) = functions::extract_type(field, kind) else {
        return Err(Problem::new(value.at, format!("{kind} has no field `{}`", name.to_lowercase())));
    };
    let logical = if as_float { LogicalType::Float64 } else { exact };
    let arg = value.into_kind(kind)?;
    let nullable = arg.nullable;
    let kernel = Kernel::new(move |call| functions::extract(field, call));
    let node = Node::Call { kernel, args: vec![arg] };
    Ok(Typed::known(folded(Expr { node, logical, nullable }, at)?, at))
}
