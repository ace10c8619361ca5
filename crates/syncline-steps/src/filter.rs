//! `filter`: only rows for which a condition is true go on.

use syncline_types::Result;

use crate::{expr::bind, frame::Frame, program::Op, pushdown};

/// Adds the condition, and what the source could check of it.
pub(crate) fn bind(frame: &mut Frame, expression: &str, step: &str) -> Result<()> {
    let condition =
        bind::condition(expression, &frame.scope()).map_err(|problem| problem.into_error(step))?;
    frame.pushed.extend(pushdown::predicates(&condition, frame));
    frame.ops.push(Op::Filter { condition, object: step.to_owned() });
    Ok(())
}
