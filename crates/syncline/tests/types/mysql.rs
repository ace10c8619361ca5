//! All types of MySQL and MariaDB, over every route from there.

use syncline_testkit::servers::{
    left_out,
    mysql::Product::{self, Mariadb, Mysql},
    postgres,
};

use crate::{
    carried::{Expected, carry},
    desk::Desk,
    lite::{File, Kept},
    matrix::{Class, Elsewhere, MysqlType, MysqlValue, cases, mysql_types, natives},
    my, own,
    ran::{Rejected, Route, Verdict},
    routes::Wrong,
    wide::{self, Place, TABLE},
};

/// What a target makes of all types: by a column's declared type there, and each value's text.
fn expected(
    types: &[MysqlType],
    column: impl Fn(&MysqlType) -> String,
    text: impl Fn(&MysqlType, &MysqlValue, i64) -> Result<String, &'static str>,
) -> Expected {
    let mut expected = Expected::default();
    for (at, one) in types.iter().enumerate() {
        let rows = one.values.iter().enumerate().map(|(value_at, value)| {
            let id = wide::id(at, value_at);
            (id, text(one, value, id))
        });
        expected.column(one.name, &column(one), rows);
    }
    expected.with_nulls()
}

fn full(product: Product, types: &[MysqlType]) -> Place {
    let place = Place::Mysql(my::database(product));
    place.fill(&wide::of_mysql(types));
    place
}

fn carry_once(from: &str, to: &Place, expected: &Expected) {
    let (desk, mut wrong) = (Desk::new(), Wrong::default());
    let to_url = to.url();
    let route = Route { desk: &desk, from, to: &to_url, glob: TABLE };
    carry(&route, &[], to, expected, &mut wrong);
    wrong.end();
}

fn to_postgres(product: Product) {
    if left_out(product.name()) || left_out("postgres") {
        return;
    }
    let types = mysql_types(product);
    let from = full(product, &types);
    let to = Place::Postgres(postgres::shared().database(&postgres::shared().create_database()));
    let expected = expected(&types, |one| one.postgres.to_owned(), |_, value, _| value.postgres.clone());
    carry_once(&from.url(), &to, &expected);
}

#[test]
fn mysql_to_postgres() {
    to_postgres(Mysql);
}

#[test]
fn mariadb_to_postgres() {
    to_postgres(Mariadb);
}

/// What SQLite keeps, as a text that tells all values apart.
fn kept(class: Class, text: &str) -> String {
    wide::kept(&match class {
        Class::Integer => Kept::Integer(text.parse().expect("the matrix says it is a whole number")),
        Class::Real => Kept::Real(text.parse().expect("the matrix says it is a float")),
        Class::Text => Kept::Text(text.as_bytes().to_vec()),
        Class::Blob => Kept::Blob(crate::routes::bytes(text)),
    })
}

fn to_sqlite(product: Product) {
    if left_out(product.name()) {
        return;
    }
    let (folder, types) = (Desk::new(), mysql_types(product));
    let from = full(product, &types);
    let to = Place::Sqlite(File::new(folder.path(), "to.db"));
    let mut expected = expected(
        &types,
        |one| one.sqlite.to_owned(),
        |one, value, _| Ok(kept(one.class, value.sqlite.as_deref().map_err(|code| *code)?)),
    );
    let warned = types.iter().filter_map(|one| Some((one.name.to_owned(), one.warned?.to_owned())));
    expected.warned.extend(warned);
    carry_once(&from.url(), &to, &expected);
}

#[test]
fn mysql_to_sqlite() {
    to_sqlite(Mysql);
}

#[test]
fn mariadb_to_sqlite() {
    to_sqlite(Mariadb);
}

/// Between two servers: types are the source's own, and so are the values.
fn between(from_product: Product, to_product: Product) {
    if left_out(from_product.name()) || left_out(to_product.name()) {
        return;
    }
    let types = mysql_types(from_product);
    let from = full(from_product, &types);
    let to = Place::Mysql(my::database(to_product));
    let held = from.held(TABLE);
    let crosses = from_product != to_product;
    let mut expected = expected(
        &types,
        |one| match one.crossed.filter(|_| crosses) {
            Some(declared) => declared.to_owned(),
            None => held.columns[one.name].0.clone(),
        },
        |one, value, id| match value.elsewhere {
            Elsewhere::Rejected(code) => Err(code),
            Elsewhere::Crossed(crossed) if crosses => crossed.map(str::to_owned),
            Elsewhere::Crossed(_) | Elsewhere::Same => Ok(held.columns[one.name].1[&id].clone()),
        },
    );
    let unknown = types.iter().filter(|one| crosses && one.crossed.is_some());
    expected.warned.extend(unknown.map(|one| (one.name.to_owned(), "so it becomes".to_owned())));
    carry_once(&from.url(), &to, &expected);
}

#[test]
fn mysql_to_mysql() {
    between(Mysql, Mysql);
}

#[test]
fn mariadb_to_mariadb() {
    between(Mariadb, Mariadb);
}

#[test]
fn mysql_to_mariadb() {
    between(Mysql, Mariadb);
}

#[test]
fn mariadb_to_mysql() {
    between(Mariadb, Mysql);
}

/// One form for what only looks different: a server writes as many digits of a second as the type has.
fn in_form(declared: &str, text: &str) -> String {
    match declared.split('(').next().unwrap_or_default() {
        "timestamp" => text.trim_end_matches(":00").trim_end_matches("+00").to_owned(),
        "float" | "double" => text.parse::<f64>().map_or(text.to_owned(), |value| format!("{value:?}")),
        _ => text.to_owned(),
    }
}

fn from_postgres_and_back(product: Product) {
    if left_out(product.name()) || left_out("postgres") {
        return;
    }
    let (desk, cases, mut wrong) = (Desk::new(), cases(), Wrong::default());
    let database = || postgres::shared().database(&postgres::shared().create_database());
    let (source, target) = (database(), database());
    source.sql(&own::types(&cases));
    let (from, middle, to) =
        (Place::Postgres(source), Place::Mysql(my::database(product)), Place::Postgres(target));
    from.fill(&wide::of_postgres(&cases));
    let (mut there, mut back) = (Expected::default(), Expected::default());
    let held = from.held(TABLE);
    for (at, case) in cases.iter().enumerate() {
        let stays = || {
            case.values
                .iter()
                .enumerate()
                .map(|(value_at, value)| (wide::id(at, value_at), case.stay(value, product)))
        };
        let declared = case.mysql.declared;
        there.column(
            case.name,
            declared,
            stays().map(|(id, stay)| (id, stay.map(|(kept, _)| in_form(declared, &kept)))),
        );
        // What only PostgreSQL knows is a text to both.
        let as_text = case.sqlite.warned.filter(|words| words.contains("as the text that its source"));
        there.warned.extend(as_text.map(|words| (case.name.to_owned(), words.to_owned())));
        let back_type = match (case.mysql.back, product) {
            // MariaDB keeps the text.
            ("jsonb", Mariadb) => "json",
            (back, _) => back,
        };
        let is_text = back_type == "text" || back_type.starts_with("character");
        let rows = stays().filter_map(|(id, stay)| {
            let (kept, back) = stay.ok()?;
            let own = || if is_text { kept } else { held.columns[case.name].1[&id].clone() };
            Some((id, back.unwrap_or_else(|| Ok(own()))))
        });
        back.column(case.name, back_type, rows);
    }
    let (from_url, middle_url, to_url) = (from.url(), middle.url(), to.url());
    let route = Route { desk: &desk, from: &from_url, to: &middle_url, glob: TABLE };
    carry(&route, &[], &middle, &there.with_nulls(), &mut wrong);
    let route = Route { desk: &desk, from: &middle_url, to: &to_url, glob: TABLE };
    carry(&route, &[], &to, &back.with_nulls(), &mut wrong);
    wrong.end();
}

#[test]
fn postgres_to_mysql_and_back() {
    from_postgres_and_back(Mysql);
}

#[test]
fn postgres_to_mariadb_and_back() {
    from_postgres_and_back(Mariadb);
}

fn from_sqlite(product: Product) {
    if left_out(product.name()) {
        return;
    }
    let (folder, natives) = (Desk::new(), natives());
    let from = Place::Sqlite(File::new(folder.path(), "from.db"));
    from.fill(&wide::of_sqlite(&natives));
    let to = Place::Mysql(my::database(product));
    let mut expected = Expected::default();
    let natives: Vec<_> = natives.into_iter().filter(|native| native.suffix.is_empty()).collect();
    for (at, native) in natives.iter().enumerate() {
        let declared = native.mysql();
        let rows = native.values.iter().enumerate().map(|(value_at, value)| {
            (wide::id(at, value_at), native.stay(value, product).map(|text| in_form(declared, text)))
        });
        expected.column(native.name, declared, rows);
        expected.warned.extend(native.warned.map(|words| (native.name.to_owned(), words.to_owned())));
    }
    carry_once(&from.url(), &to, &expected.with_nulls());
}

#[test]
fn sqlite_to_mysql() {
    from_sqlite(Mysql);
}

#[test]
fn sqlite_to_mariadb() {
    from_sqlite(Mariadb);
}

/// What the options of the source's connection make of values that have no place otherwise.
fn as_asked_for(product: Product) {
    if left_out(product.name()) || left_out("postgres") {
        return;
    }
    let from = my::database(product);
    my::run(
        &from,
        "CREATE TABLE z (id int PRIMARY KEY, flag tinyint(1), d date NOT NULL, dt datetime(3), ts timestamp NULL);
         INSERT INTO z VALUES (1, 2, '0000-00-00', '2024-00-00 10:00:00.5', '0000-00-00 00:00:00'),
           (2, -128, '2024-02-29', NULL, '2024-02-29 01:02:03'), (3, NULL, '0000-01-01', '0000-00-00', NULL)",
    );
    for (options, types, rows) in [
        (
            "zero_dates=null",
            "smallint date timestamp(3) without time zone timestamp(0) with time zone",
            "1|2|||\n2|-128|2024-02-29||2024-02-29 01:02:03+00\n3||0001-01-01 BC||",
        ),
        (
            "zero_dates=text",
            "smallint text text text",
            "1|2|0000-00-00|2024-00-00 10:00:00.500|0000-00-00 00:00:00\n2|-128|2024-02-29||2024-02-29 01:02:03\n\
             3||0000-01-01|0000-00-00 00:00:00.000|",
        ),
    ] {
        let (desk, to) = (Desk::new(), postgres::shared().database(&postgres::shared().create_database()));
        let from = format!("{}?tinyint1=int&{options}", from.url());
        let route = Route { desk: &desk, from: &from, to: to.url(), glob: "z" };
        assert_eq!(route.copy(&[]), Rejected::new(), "{options}");
        assert_eq!(route.verify()["z"], Verdict::EQUAL, "{options}");
        let found = to.sql(
            "SELECT string_agg(format_type(atttypid, atttypmod), ' ' ORDER BY attnum) FROM pg_attribute
             WHERE attrelid = 'z'::regclass AND attnum > 1",
        );
        assert_eq!(found, types, "{options}");
        assert_eq!(to.sql("SET TimeZone = 'UTC'; TABLE z ORDER BY id"), rows, "{options}");
    }
}

#[test]
fn dates_of_mysql_that_are_none_arrive_as_asked_for() {
    Product::ALL.into_iter().for_each(as_asked_for);
}

/// Columns that are computed or not shown, and defaults, by way of every system.
fn shaped(product: Product) {
    if left_out(product.name()) || left_out("postgres") {
        return;
    }
    let (desk, from, back) = (Desk::new(), my::database(product), my::database(product));
    my::run(
        &from,
        "CREATE TABLE s (id bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, price decimal(10,2) NOT NULL DEFAULT 1.50,
           twice decimal(11,2) AS (price * 2) VIRTUAL, kept varchar(20) AS (CONCAT('p ', price)) STORED,
           hidden int NOT NULL DEFAULT 7 INVISIBLE, note varchar(20) NOT NULL DEFAULT 'it''s', day date DEFAULT '2024-02-29',
           flag tinyint(1) NOT NULL DEFAULT 1, at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP, e enum('x', 'y') DEFAULT 'y')
         CHARACTER SET utf8mb4;
         INSERT INTO s (id, price, hidden, at) VALUES (1, 2, 5, '2024-01-01 00:00:00'), (70, -0.5, 6, '2024-01-01 12:00:00')",
    );
    let rows = "1|2.00|4.00|p 2.00|5|it's|2024-02-29|t|2024-01-01 00:00:00+00|y\n\
                70|-0.50|-1.00|p -0.50|6|it's|2024-02-29|t|2024-01-01 12:00:00+00|y";
    let to = postgres::shared().database(&postgres::shared().create_database());
    let file = File::new(desk.path(), "s.db");
    for (from, to) in [(from.url(), to.url()), (from.url(), &file.url()), (from.url(), back.url())] {
        let route = Route { desk: &desk, from, to, glob: "s" };
        assert_eq!(route.copy(&[]), Rejected::new(), "{to}");
        assert_eq!(route.verify()["s"], Verdict::EQUAL, "{to}");
    }
    assert_eq!(to.sql("SET TimeZone = 'UTC'; TABLE s ORDER BY id"), rows);
    let all = "SELECT id, price, twice, kept, hidden, note, day, flag, at, e FROM s ORDER BY id";
    assert_eq!(my::run(&back, all), my::run(&from, all));
    // Constants are defaults there too, and numbers go on behind the last.
    to.sql("INSERT INTO s (id, at) VALUES (100, now())");
    let defaults = "1.50|7|it's|2024-02-29|t|y";
    assert_eq!(to.sql("SELECT price, hidden, note, day, flag, e FROM s WHERE id = 100"), defaults);
    my::run(&back, "INSERT INTO s (at) VALUES (now())");
    assert_eq!(
        my::run(&back, "SELECT id, price, hidden, note, day, flag, e FROM s WHERE id > 70"),
        "71\t1.50\t7\tit's\t2024-02-29\t1\ty"
    );
}

#[test]
fn columns_of_mysql_arrive_with_their_defaults() {
    Product::ALL.into_iter().for_each(shaped);
}
