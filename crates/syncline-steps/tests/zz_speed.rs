#[path = "support/columns.rs"]
mod columns;
use std::time::Instant;
use arrow_array::RecordBatch;
use secrecy::SecretString;
use syncline_steps::{Chain, StepSpec};
use syncline_types::{Column, LogicalType as L, TableSchema};
#[test]
fn speed() {
    let schema = TableSchema::new("t", vec![
        Column::new("id", L::Int64), Column::new("quantity", L::Int32), Column::new("price", L::Decimal { precision: 12, scale: 2 }),
        Column::new("status", L::TEXT), Column::new("email", L::TEXT), Column::new("ratio", L::Float64), Column::new("at", L::TIMESTAMP), Column::new("free", L::Numeric),
    ]);
    const N: usize = 16384;
    let mk = |f: &dyn Fn(usize) -> String, l: L| { let v: Vec<String> = (0..N).map(f).collect(); let v: Vec<Option<&str>> = v.iter().map(|s| Some(s.as_str())).collect(); columns::array(l, &v) };
    let batch = RecordBatch::try_new(schema.arrow(), vec![
        mk(&|i| i.to_string(), L::Int64), mk(&|i| (i % 50).to_string(), L::Int32), mk(&|i| format!("{}.{:02}", i % 1000, i % 100), L::Decimal { precision: 12, scale: 2 }),
        mk(&|i| ["new", "void", "done"][i % 3].to_owned(), L::TEXT), mk(&|i| format!("user{i}@example.com"), L::TEXT), mk(&|i| format!("{}.5", i), L::Float64),
        mk(&|i| format!("2024-01-{:02} 12:34:56.789", 1 + i % 28), L::TIMESTAMP), mk(&|i| format!("{}.{}", i, i % 7), L::Numeric),
    ]).unwrap();
    for steps in [
        r#"[{"rename":{"id":"key"}}]"#,
        r#"[{"filter":"quantity > 10 and status <> 'void'"}]"#,
        r#"[{"filter":"price > 0.5"}]"#,
        r#"[{"set":{"total":"quantity * price"}}]"#,
        r#"[{"set":{"total":"round(quantity * price * 1.19, 2)"}}]"#,
        r#"[{"set":{"x":"price / 3"}}]"#,
        r#"[{"set":{"x":"free + 1"}}]"#,
        r#"[{"set":{"x":"quantity + 1"}}]"#,
        r#"[{"set":{"x":"ratio * 2.0"}}]"#,
        r#"[{"set":{"x":"lower(email) || '!'"}}]"#,
        r#"[{"set":{"x":"case when status = 'new' then 1 else 2 end"}}]"#,
        r#"[{"set":{"x":"split_part(email, '@', 2)"}}]"#,
        r#"[{"filter":"email like '%5@%'"}]"#,
        r#"[{"filter":"status in ('a','b','c','d','e','new')"}]"#,
        r#"[{"set":{"x":"date_trunc('month', at)"}}]"#,
        r#"[{"set":{"x":"extract(year from at)"}}]"#,
        r#"[{"cast":{"id":"text"}}]"#,
        r#"[{"cast":{"price":"numeric(10,1)"}}]"#,
        r#"[{"mask":{"email":"hash"}}]"#,
        r#"[{"mask":{"email":"redact"}}]"#,
    ] {
        let specs: Vec<StepSpec> = serde_json::from_str(steps).unwrap();
        let chain = Chain::bind(&specs, &schema, Some(&SecretString::from("k".to_owned()))).unwrap();
        let _ = chain.apply(batch.clone()).unwrap();
        let t = Instant::now();
        let mut rows = 0;
        while t.elapsed().as_millis() < 300 { chain.apply(batch.clone()).unwrap(); rows += N; }
        println!("{:7.1} ns/row  {steps}", t.elapsed().as_nanos() as f64 / rows as f64);
    }
}
