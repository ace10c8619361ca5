//! `cargo x bench`: the released binary against the databases' own roads.

use crate::{
    Failure, needs,
    run::{cargo, run},
};

pub(crate) fn command(arguments: &[String]) -> Result<(), Failure> {
    needs::ensure(&needs::left_out()?)?;
    run(cargo().args(["build", "--release", "-p", "syncline"]))?;
    run(cargo().args(["run", "--release", "-p", "syncline-bench", "--"]).args(arguments))
}
