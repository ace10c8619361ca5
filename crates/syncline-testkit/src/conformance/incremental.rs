//! What incremental runs rely on in a sink: marks, and the last of several rows with one key.

use std::{collections::BTreeMap, sync::Arc};

use syncline_connect::{Marking, Sink, Target, WriteMode};
use syncline_types::StreamName;

use super::{
    Fixture, run_ref,
    sink::{begin, copy, end, free_name, open},
    sorted, target,
};

/// Rows of one key in one batch, in one split and in several; NULL loses to any value.
pub(super) async fn the_last_row_of_a_key_wins(fixture: &dyn Fixture) {
    for exists in [true, false] {
        let table = if exists { fixture.create(true).await } else { free_name(fixture).await };
        if exists {
            fixture.insert(&table, &[(1, Some(99)), (5, Some(50))]).await;
        }
        let sink = open(fixture).await;
        let target = Target {
            cursor: Some("value".into()),
            ..(*target(0, &table, WriteMode::Merge, true, true)).clone()
        };
        let target = Arc::new(target);
        let run = begin(sink.as_ref(), "p", std::slice::from_ref(&target)).await;
        copy(sink.as_ref(), &run, &target, 0, &[(1, Some(10)), (2, Some(9)), (1, Some(7)), (2, Some(100))])
            .await;
        copy(sink.as_ref(), &run, &target, 1, &[(2, Some(20)), (3, None), (4, Some(-1)), (1, Some(9))]).await;
        copy(sink.as_ref(), &run, &target, 2, &[(3, Some(-5)), (4, None), (6, None)]).await;
        end(sink.as_ref(), &run, &target).await;
        let mut expected = vec![(1, Some(10)), (2, Some(100)), (3, Some(-5)), (4, Some(-1)), (6, None)];
        expected.extend(exists.then_some((5, Some(50))));
        assert_eq!(fixture.rows(&table).await, Some(sorted(expected)), "exists {exists}");
    }
}

pub(super) async fn marks_are_kept_with_what_is_published(fixture: &dyn Fixture) {
    let table = fixture.create(true).await;
    let sink = open(fixture).await;
    assert_eq!(marks(sink.as_ref()).await, BTreeMap::new());
    // Quotes, and more than fits into a short column.
    let long = format!("it's \"{}\" \\ é", "x".repeat(100_000));
    let first = target(0, &table, WriteMode::Append, true, true);
    let another = fixture.create(true).await;
    let second = target(1, &another, WriteMode::Append, true, true);
    let second = Target { source: StreamName::new("a.b", "it's another"), ..(*second).clone() };
    let targets = [first, Arc::new(second)];
    let mut expected = BTreeMap::new();
    for (round, marking) in [
        (0, [Marking::Save("first"), Marking::Save(&long)]),
        (1, [Marking::Keep, Marking::Save("second")]),
        (2, [Marking::Save("third"), Marking::Clear]),
        (3, [Marking::Clear, Marking::Clear]),
    ] {
        let epoch = sink.lock("p", 0).await.expect("the pipeline is free");
        let run = run_ref("p", &format!("r{round}"), epoch);
        let plans = sink.plan(&targets).await.expect("targets can be planned");
        for (number, (target, plan)) in (0..).zip(targets.iter().zip(plans)) {
            for action in &plan.before {
                sink.apply(&run, target, action).await.expect("what was planned can be done");
            }
            copy(sink.as_ref(), &run, target, 0, &[(round * 2 + number, None)]).await;
            assert_eq!(marks(sink.as_ref()).await, expected, "nothing is published yet");
            let marking = marking[usize::from(number == 1)];
            sink.finish(&run, target, marking).await.expect("rows are published");
            match marking {
                Marking::Keep => None,
                Marking::Save(mark) => expected.insert(target.source.to_string(), mark.to_owned()),
                Marking::Clear => expected.remove(&target.source.to_string()),
            };
            assert_eq!(marks(sink.as_ref()).await, expected);
            // It is done already, so another word has no meaning.
            sink.finish(&run, target, Marking::Save("too late")).await.expect("a second time is no mistake");
            assert_eq!(marks(sink.as_ref()).await, expected);
        }
        sink.close("p").await.expect("the run is closed");
        assert_eq!(marks(sink.as_ref()).await, expected, "marks outlive their run");
        let others = sink.marks("another").await.expect("marks can be read").expect("marks are kept");
        assert!(others.is_empty());
    }
}

async fn marks(sink: &dyn Sink) -> BTreeMap<String, String> {
    sink.marks("p").await.expect("marks can be read").expect("who keeps progress keeps marks")
}
