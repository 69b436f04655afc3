//! How Postgres finds what the statements ask for, in tables of a million rows together.
//!
//! Every statement of the program is checked, as it stands in `.sqlx`, so that a new one cannot be forgotten. Each is planned
//! for any arguments (`force_generic_plan`), which is how the service has them planned. It must not read a big table from end
//! to end, nor an index of one that holds every row, nor all of any index to compare it with a few. Only what `chaos` asks once
//! nothing is under way any more may. And no index is there that no statement uses.
//!
//! All this also where Postgres has not counted the rows yet, and only sees how large the tables are: so it is after a restore or
//! an upgrade, and while a new installation fills faster than it is looked at. And where they were counted while there were few of
//! them, down to those of a first hour, or while nothing was under way: what looks small then is not small for long. And where
//! tenants are so few that whose a row is seems to choose nothing: it does for the one that has next to none.

#![expect(
    clippy::unwrap_used,
    reason = "in a test, what cannot be unwrapped is a failure"
)]

mod statements;

use std::collections::BTreeSet;

use gladia_gateway::{
    db,
    dev_tools::postgres::{EmbeddedPostgres, Options},
};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use statements::Statement;

#[tokio::test]
async fn every_statement_finds_its_rows_by_an_index_and_every_index_is_used() {
    let postgres = EmbeddedPostgres::start(Options::default()).await.unwrap();
    let mut database = Database::fill(&postgres).await;
    let mut used = BTreeSet::new();
    database
        .expect_good_plans("before rows are counted", &mut used)
        .await;
    database.run("VACUUM ANALYZE").await;
    used.clear();
    database.expect_good_plans("after weeks", &mut used).await;
    let unused: Vec<&String> = database.indexes.difference(&used).collect();
    assert!(unused.is_empty(), "no statement uses {unused:?}");

    database.change(include_str!("shrink.sql")).await;
    database
        .expect_good_plans("in a small database", &mut used)
        .await;
    let mut of_few = database.copy(&postgres, "few").await;
    of_few.change(include_str!("few.sql")).await;
    of_few
        .expect_good_plans("where tenants are few", &mut used)
        .await;
    let mut young = database.copy(&postgres, "young").await;
    young.change(include_str!("young.sql")).await;
    young
        .expect_good_plans("in the first hour", &mut used)
        .await;
    young.forget_counts().await;
    young
        .expect_good_plans("in the first hour, before rows are counted", &mut used)
        .await;
    database.change(include_str!("rest.sql")).await;
    database
        .expect_good_plans("where nothing was under way", &mut used)
        .await;

    // And what reads everything is found out.
    for careless in [
        "SELECT id FROM jobs WHERE error_message = $1",
        "SELECT id FROM jobs WHERE error_message = $1 ORDER BY id LIMIT 1",
        "SELECT gladia_id FROM attempts WHERE gladia_id IS NOT NULL AND detail = $1 ORDER BY gladia_id LIMIT 1",
        "SELECT a.id FROM unnest(ARRAY[$1]::uuid[]) c (id) JOIN attempts a USING (id) WHERE a.finished_at IS NULL",
    ] {
        let plan = database.plan(&Statement::new(careless, 1)).await;
        assert!(database.complaint(&plan, &mut used).is_some(), "{plan:#}");
    }
    postgres.stop().await.unwrap();
}

struct Database {
    conn: PgConnection,
    big_tables: BTreeSet<String>,
    /// Those that are there for the sake of statements alone.
    indexes: BTreeSet<String>,
    /// Those that hold some rows only.
    partial_indexes: BTreeSet<String>,
}

impl Database {
    async fn fill(postgres: &EmbeddedPostgres) -> Self {
        postgres.create_database("plans", None).await.unwrap();
        let options = db::parse_url(&postgres.url("plans")).unwrap();
        db::migrate(&options).await.unwrap();
        let mut conn = connect(postgres, "plans").await;
        sqlx::raw_sql(include_str!("fill.sql"))
            .execute(&mut conn)
            .await
            .unwrap();
        let big_tables = names(
            &mut conn,
            "SELECT relname::text FROM pg_class
             WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND pg_relation_size(oid) > 1000000",
        )
        .await;
        let indexes = names(
            &mut conn,
            "SELECT indexrelid::regclass::text FROM pg_index JOIN pg_class c ON c.oid = indrelid
             WHERE c.relnamespace = 'public'::regnamespace AND NOT indisunique",
        )
        .await;
        let partial_indexes = names(
            &mut conn,
            "SELECT indexrelid::regclass::text FROM pg_index WHERE indpred IS NOT NULL",
        )
        .await;
        assert!(big_tables.contains("jobs") && indexes.contains("jobs_line"));
        Self {
            conn,
            big_tables,
            indexes,
            partial_indexes,
        }
    }

    /// The same rows in a database of their own.
    async fn copy(&mut self, postgres: &EmbeddedPostgres, name: &str) -> Self {
        // Nobody may be connected to what is copied.
        let elsewhere = connect(postgres, "postgres").await;
        let conn = std::mem::replace(&mut self.conn, elsewhere);
        conn.close().await.unwrap();
        postgres.create_database(name, Some("plans")).await.unwrap();
        self.conn = connect(postgres, "plans").await;
        Self {
            conn: connect(postgres, name).await,
            big_tables: self.big_tables.clone(),
            indexes: self.indexes.clone(),
            partial_indexes: self.partial_indexes.clone(),
        }
    }

    /// Lets Postgres count the rows anew afterwards.
    async fn change(&mut self, script: &str) {
        self.run(script).await;
        self.run("VACUUM (FULL, ANALYZE)").await;
    }

    /// Leaves the tables as they are before Postgres has counted their rows.
    async fn forget_counts(&mut self) {
        self.run("DELETE FROM pg_statistic").await;
        self.run(
            "UPDATE pg_class SET reltuples = -1, relpages = 0 WHERE relnamespace = 'public'::regnamespace",
        )
        .await;
    }

    /// Notes the indexes that they use.
    async fn expect_good_plans(&mut self, state: &str, used: &mut BTreeSet<String>) {
        let mut complaints = Vec::new();
        for statement in statements::all() {
            let plan = self.plan(&statement).await;
            if let Some(complaint) = self.complaint(&plan, used) {
                complaints.push(format!("{complaint}, {state}:\n{}", statement.text));
            }
        }
        assert!(complaints.is_empty(), "{}", complaints.join("\n\n"));
    }

    async fn plan(&mut self, statement: &Statement) -> Value {
        let arguments = match statement.parameters {
            0 => String::new(),
            count => format!("({})", vec!["NULL"; count].join(", ")),
        };
        let prepare = format!("PREPARE one AS {}\n", statement.text);
        let explain = format!("EXPLAIN (FORMAT JSON) EXECUTE one{arguments}");
        self.run(&prepare).await;
        let row = sqlx::raw_sql(AssertSqlSafe(explain))
            .fetch_one(&mut self.conn)
            .await
            .unwrap();
        self.run("DEALLOCATE one").await;
        row.get::<Value, _>(0)[0]["Plan"].take()
    }

    async fn run(&mut self, script: &str) {
        sqlx::raw_sql(AssertSqlSafe(script))
            .execute(&mut self.conn)
            .await
            .unwrap();
    }

    /// What a plan reads that it should not. Notes the indexes that it uses.
    fn complaint(&self, node: &Value, used: &mut BTreeSet<String>) -> Option<String> {
        let text = |key: &str| node[key].as_str().unwrap_or_default();
        let (index, table) = (text("Index Name"), text("Relation Name"));
        used.insert(index.to_owned());
        let mut complaint = None;
        if text("Node Type") == "Seq Scan" && self.big_tables.contains(table) {
            complaint = Some(format!("reads all of {table}"));
        }
        let holds_every_row =
            !self.partial_indexes.contains(index) && self.big_tables.contains(table);
        if !index.is_empty() && holds_every_row && !has_choice(node) {
            complaint = Some(format!("walks through all of {index}"));
        }
        if text("Node Type") == "Bitmap Index Scan" && self.partial_indexes.contains(index) {
            complaint = Some(format!("takes a bitmap of {index}"));
        }
        let is_looked_for = text("Filter").contains("(id = ");
        if self.partial_indexes.contains(index) && is_looked_for {
            complaint = Some(format!(
                "walks through {index}, where it looks small, for what has an id"
            ));
        }
        if !index.is_empty() && self.big_tables.contains(table) && passes_over_others(node) {
            complaint = Some(format!("walks through others' rows in {index}"));
        }
        if let Some(index) = self.joined_whole(node) {
            complaint = Some(format!(
                "joins all of {index}, where it looks small, to what is asked for"
            ));
        }
        let below = node["Plans"].as_array().into_iter().flatten();
        // All of them, for the sake of their indexes.
        let below: Vec<String> = below
            .filter_map(|node| self.complaint(node, used))
            .collect();
        complaint.or_else(|| below.into_iter().next())
    }

    /// An index of a big table that is walked through, however many rows it has by now, and compared with what is asked for.
    fn joined_whole<'a>(&self, join: &'a Value) -> Option<&'a str> {
        let compares = match join["Node Type"].as_str()? {
            "Hash Join" | "Merge Join" => true,
            // Without one, what one side has is looked up in the other.
            "Nested Loop" => !join["Join Filter"].is_null(),
            _ => false,
        };
        let joined = join["Plans"].as_array().filter(|_| compares)?.iter();
        joined
            .map(|side| {
                let mut side = side;
                while matches!(
                    side["Node Type"].as_str(),
                    Some("Hash" | "Sort" | "Materialize")
                ) {
                    side = &side["Plans"][0];
                }
                side
            })
            .filter(|side| !has_choice(side))
            .filter(|side| {
                let table = side["Relation Name"].as_str();
                table.is_some_and(|table| self.big_tables.contains(table))
            })
            .find_map(|side| side["Index Name"].as_str())
    }
}

/// Whether an index is asked for something. What has a value at all is no choice.
fn has_choice(node: &Value) -> bool {
    let condition = node["Index Cond"].as_str().unwrap_or_default();
    !condition.is_empty()
        && !condition
            .split(" AND ")
            .all(|part| part.contains("IS NOT NULL"))
}

/// Whether rows are read that are another tenant's, or of the tenant's other endpoints or jobs, as many as there may be, and dropped
/// afterwards.
fn passes_over_others(node: &Value) -> bool {
    let text = |key: &str| node[key].as_str().unwrap_or_default();
    let (condition, filter) = (text("Index Cond"), text("Filter"));
    let is_of_tenant = condition.contains("tenant_id = ");
    let drops = |column: &str| filter.contains(&format!("{column} = $"));
    is_of_tenant && (drops("endpoint_id") || drops("job_id"))
        || !condition.contains(" = ") && drops("tenant_id")
}

/// Connects as the service does.
async fn connect(postgres: &EmbeddedPostgres, database: &str) -> PgConnection {
    let options = db::parse_url(&postgres.url(database)).unwrap();
    let mut conn = PgConnection::connect_with(&options).await.unwrap();
    for script in [db::SESSION_SETTINGS, include_str!("session.sql")] {
        sqlx::raw_sql(script).execute(&mut conn).await.unwrap();
    }
    conn
}

async fn names(conn: &mut PgConnection, query: &'static str) -> BTreeSet<String> {
    let names: Vec<String> = sqlx::query_scalar(query).fetch_all(conn).await.unwrap();
    names.into_iter().collect()
}
