//! The commands, as people and scripts run them.

#![allow(clippy::unwrap_used, missing_docs, reason = "test code: a panic is the report")]

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// A directory with a configuration; the store is made by the verbs.
struct Site {
    dir: tempfile::TempDir,
}

const CONFIG: &str = r#"
[store]
url = "sqlite:crossdock.db"

[commerce.acme]
edition = "paas"
base_url = "http://127.0.0.1:1/rest"
auth = { type = "none" }
read_back = "never"

[origins.flows]
type = "patchworks"
commerce = "acme"
auth = [{ type = "header", name = "X-Api-Key", value = "0123456789abcdef0123" }]

[destinations.erp]
profile = "http"
url = "http://127.0.0.1:1/sales-orders"
guard = "key"
key_window = "24h"
allow_private = ["127.0.0.0/8"]

[[routes]]
name = "orders"
accepts = ["order"]
to = ["erp"]
"#;

impl Site {
    fn new() -> Site {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("crossdock.toml"), CONFIG).unwrap();
        Site { dir }
    }

    fn write(&self, name: &str, text: &str) -> String {
        std::fs::write(self.dir.path().join(name), text).unwrap();
        name.to_owned()
    }

    /// Runs a verb in the directory, where the configuration is found without being named.
    fn run(&self, arguments: &[&str]) -> Ran {
        run_in(self.dir.path(), arguments, "")
    }
}

struct Ran {
    code: i32,
    out: String,
    err: String,
}

impl Ran {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}{}", self.out, self.err))
    }

    #[track_caller]
    fn done(self) -> Self {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self
    }

    #[track_caller]
    fn fails(self, says: &str) -> Self {
        assert_eq!(self.code, 1, "{}{}", self.out, self.err);
        assert!(self.err.contains(says) || self.out.contains(says), "\"{says}\" is missing: {}{}", self.out, self.err);
        self
    }
}

fn run_in(dir: &Path, arguments: &[&str], input: &str) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_crossdock"))
        .args(arguments)
        .current_dir(dir)
        .env_remove("CROSSDOCK_LOG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A verb that does not read its input may be gone already.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: status.code().unwrap(), out: text(stdout), err: text(stderr) }
}

fn sample(name: &str) -> String {
    let path = format!("{}/src/demo/orders/{name}.json", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn every_help_has_an_example_and_usage_errors_exit_with_2() {
    let empty = tempfile::tempdir().unwrap();
    let verbs = [
        vec![],
        vec!["serve"],
        vec!["replay"],
        vec!["check"],
        vec!["demo"],
        vec!["expand"],
        vec!["orders"],
        vec!["orders", "list"],
        vec!["orders", "show"],
        vec!["orders", "search"],
        vec!["exceptions"],
        vec!["exceptions", "list"],
        vec!["exceptions", "show"],
        vec!["exceptions", "groups"],
        vec!["bulk"],
        vec!["bulk", "replay"],
        vec!["bulk", "resend"],
        vec!["bulk", "list"],
        vec!["bulk", "show"],
        vec!["bulk", "approve"],
        vec!["bulk", "refuse"],
        vec!["bulk", "undo"],
        vec!["bulk", "stop"],
        vec!["mappings"],
        vec!["mappings", "import"],
        vec!["mappings", "export"],
        vec!["mappings", "list"],
        vec!["token"],
        vec!["token", "create"],
        vec!["token", "list"],
        vec!["token", "revoke"],
        vec!["user"],
        vec!["user", "create"],
        vec!["user", "list"],
        vec!["user", "set-password"],
        vec!["user", "set-role"],
        vec!["user", "disable"],
        vec!["user", "enable"],
        vec!["user", "remove"],
        vec!["user", "sign-out"],
        vec!["user", "totp-reset"],
        vec!["catalogue"],
        vec!["catalogue", "show"],
        vec!["ledger"],
        vec!["audit-log"],
        vec!["audit-log", "verify"],
        vec!["audit-log", "export"],
        vec!["capture"],
        vec!["doctor"],
        vec!["migrate"],
    ];
    for verb in verbs {
        let help = run_in(empty.path(), &[verb.as_slice(), &["--help"]].concat(), "").done();
        assert!(help.out.contains("Example"), "{verb:?}: {}", help.out);
    }
    assert!(run_in(empty.path(), &["--version"], "").done().out.starts_with("crossdock "));
    for wrong in [
        vec![],
        vec!["ordres"],
        vec!["expand"],
        vec!["orders", "--state", "lost"],
        vec!["mappings", "import", "colours", "x.csv"],
        vec!["token", "create", "--name", "a", "--role", "root"],
        vec!["user", "create", "--name", "a", "--role", "root"],
        vec!["user", "create", "--name", "a", "--role", "viewer", "--password", "in sight of everybody"],
        vec!["exceptions", "show", "exc_1"],
        vec!["bulk"],
        vec!["bulk", "show", "exc_1"],
        vec!["bulk", "resend", "--since", "yesterday"],
        vec!["replay"],
        vec!["replay", "--resend", "dlv_1", "--confirm", "1"],
        vec!["replay", "--confirm", "1"],
        vec!["--log", "crossdock=loud", "doctor"],
    ] {
        assert_eq!(run_in(empty.path(), &wrong, "").code, 2, "{wrong:?}");
    }
}

#[test]
fn check_shows_every_problem_at_once_and_exits_with_1() {
    let site = Site::new();
    let good = site.run(&["check"]).done();
    assert!(good.out.contains("is valid"), "{}", good.out);
    site.write("bad.toml", &CONFIG.replace("to = [\"erp\"]", "to = [\"epr\"]").replace("\"24h\"", "\"0s\""));
    let bad = site.run(&["check", "--config", "bad.toml"]).fails("routes");
    assert!(bad.out.matches("problem: ").count() >= 2, "{}", bad.out);
    // A look that misses a member on every order would keep every order from being sent.
    let find =
        "guard = \"find\"\nfind = { url = \"https://erp.example.com/o?r={{ order.number }}\", reference = \"/0/r\" }";
    let deaf = CONFIG.replace("guard = \"key\"", find).replace("key_window = \"24h\"", "");
    site.write("deaf.toml", &deaf);
    let deaf = site.run(&["check", "--config", "deaf.toml"]).fails("find");
    assert!(deaf.out.contains("cannot be asked about every sample order"), "{}", deaf.out);
    // A condition that compiles and cannot be decided would park every order: the sample orders show it.
    let typo = CONFIG.replacen("[[routes]]", "[[routes]]\nwhen = \"order.storeid == 1\"", 1);
    site.write("typo.toml", &typo);
    let typo = site.run(&["check", "--config", "typo.toml"]).fails("routes");
    assert!(typo.out.contains("could not be decided"), "{}", typo.out);
    let report = site.run(&["check", "--config", "bad.toml", "--json"]);
    assert_eq!((report.code, report.json()["valid"].clone()), (1, Value::Bool(false)));
    assert!(report.json()["problems"][0]["remedy"].is_string());
    let empty = tempfile::tempdir().unwrap();
    run_in(empty.path(), &["check"], "").fails("--config FILE");
    run_in(empty.path(), &["check", "--config", "none.toml"], "").fails("none.toml");
}

#[test]
fn check_lets_sample_orders_go_through_the_routes_of_the_file() {
    let site = Site::new();
    let good = site.run(&["check"]).done();
    assert!(good.out.contains("13 sample orders without mapping tables: 13 to erp"), "{}", good.out);
    let explained = site.run(&["check", "--explain"]).done();
    assert!(explained.out.contains("acme 100000104 to erp: a bundle"), "{}", explained.out);
    assert!(explained.out.contains("Route \"orders\" takes every order: to erp."), "{}", explained.out);

    let with = |when: &str| CONFIG.replace("to = [\"erp\"]", &format!("when = '{when}'\nto = [\"erp\"]"));
    site.write("some.toml", &with("order.store_id == 2"));
    let some = site.run(&["check", "--config", "some.toml"]).done();
    assert!(some.out.contains("12 nowhere") && some.out.contains("1 to erp"), "{}", some.out);

    // The virtual order has no shipping address: it alone would wait for a person.
    site.write("virtual.toml", &with("order.shipping_address.country == \"GB\""));
    let parked = site.run(&["check", "--config", "virtual.toml"]).fails("1 to a person");
    assert!(parked.out.contains("problem: routes[0].when: could not be decided on 1 of 13"), "{}", parked.out);
    assert!(parked.out.contains("100000106"), "{}", parked.out);

    // What the remedy proposes does away with it.
    site.write("asked.toml", &with("order.shipping_address is not none and order.shipping_address.country == \"GB\""));
    let asked = site.run(&["check", "--config", "asked.toml"]).done();
    assert!(!asked.out.contains("could not be decided") && !asked.out.contains("person"), "{}", asked.out);

    site.write("never.toml", &with("order.shop_id == 2"));
    let never = site.run(&["check", "--config", "never.toml"]).fails("");
    assert!(never.out.contains("problem: routes[0].when: could not be decided on any sample order"), "{}", never.out);
    let report = site.run(&["check", "--config", "never.toml", "--json"]);
    assert_eq!((report.code, report.json()["valid"].clone()), (1, Value::Bool(false)));
    assert_eq!(report.json()["samples"].as_array().unwrap().len(), 13);
}

#[test]
fn expand_prints_tables_for_people_and_json_for_programs() {
    let empty = tempfile::tempdir().unwrap();
    let order = sample("simple");
    let table = run_in(empty.path(), &["expand", "-"], &order).done();
    assert!(table.out.contains("FRN-TOWEL-LINEN") && table.out.contains('✓'), "{}", table.out);
    let one = run_in(empty.path(), &["expand", "--json", "-"], &order).done();
    assert_eq!(one.json()["schema"], "crossdock.sales_order.v1");
    assert!(one.out.starts_with("{\n  \"schema\""), "members stand in the order of the contract");
    let list = run_in(empty.path(), &["expand", "--json", "-"], &format!("[{order}]")).done();
    assert_eq!(list.json().as_array().unwrap().len(), 1);
    std::fs::write(empty.path().join("a.json"), &order).unwrap();
    std::fs::write(empty.path().join("b.json"), sample("grouped")).unwrap();
    let two = run_in(empty.path(), &["expand", "--json", "a.json", "b.json"], "").done();
    assert_eq!(two.json().as_array().unwrap().len(), 2);
}

#[test]
fn expand_names_the_file_and_the_place_of_what_is_wrong() {
    let empty = tempfile::tempdir().unwrap();
    std::fs::write(empty.path().join("bad.json"), "{\"increment_id\":\"9\"}").unwrap();
    let ran = run_in(empty.path(), &["expand", "bad.json"], "").fails("bad.json: ");
    assert!(ran.out.is_empty(), "{}", ran.out);
    run_in(empty.path(), &["expand", "-"], "{").fails("not valid JSON");
    run_in(empty.path(), &["expand", "none.json"], "").fails("none.json cannot be read");
    run_in(empty.path(), &["expand", "--destination", "erp", "-"], "{}").fails("--config FILE");
}

#[test]
fn expand_applies_the_tables_of_the_store() {
    let site = Site::new();
    site.write("order.json", &sample("simple"));
    site.write("skus.csv", "key,value,destination\nFRN-TOWEL-LINEN,10042,erp\nFRN-BOOK-KNOTS,10043,\n");
    site.run(&["mappings", "import", "skus", "skus.csv"]).done();
    let mapped = site.run(&["expand", "--json", "--destination", "erp", "order.json"]).done().json();
    assert_eq!(mapped["lines"][0]["sku"], "10042");
    site.run(&["expand", "--destination", "wms", "order.json"]).fails("there are: erp");
    // For nobody in particular the row of one destination does not count: the order would wait for a person.
    site.run(&["expand", "--json", "order.json"]).fails("unmapped_sku");
}

#[test]
fn mappings_go_in_and_come_out_the_same() {
    let site = Site::new();
    let csv = "key,value,destination\r\n\"say \"\"hi\"\"\",'=1+1,\r\nÄ🧵,2,erp\r\n";
    site.write("skus.csv", csv);
    let done = site.run(&["mappings", "import", "--config", "crossdock.toml", "skus", "skus.csv"]).done();
    assert_eq!(done.out, "skus: 2 rows, version 1\n");
    assert_eq!(site.run(&["mappings", "export", "skus"]).done().out, csv);
    site.run(&["mappings", "export", "skus", "out.csv"]).done();
    assert_eq!(std::fs::read_to_string(site.dir.path().join("out.csv")).unwrap(), csv);
    assert_eq!(site.run(&["mappings", "export", "--json", "skus"]).done().json()[0]["value"], "=1+1");
    assert!(site.run(&["mappings", "list"]).done().out.contains("skus"));
    site.write("bad.csv", "key,value\nA,1\nA,2\n");
    let bad = site.run(&["mappings", "import", "skus", "bad.csv"]).fails("was not changed");
    assert!(bad.err.contains("line 3"), "{}", bad.err);
}

#[test]
fn a_token_is_printed_alone_listed_without_its_secret_and_revoked_by_name() {
    let site = Site::new();
    let create = ["token", "create", "--config", "crossdock.toml", "--name", "anna", "--role", "operator"];
    let made = site.run(&create).done();
    assert!(made.out.starts_with("cdk_") && made.out.len() == 48 && made.out.ends_with('\n'), "{}", made.out);
    site.run(&create).fails("anna");
    let listed = site.run(&["token", "list", "--json"]).done();
    assert_eq!((&listed.json()[0]["name"], &listed.json()[0]["role"]), (&"anna".into(), &"operator".into()));
    assert!(!listed.out.contains(made.out.trim()));
    site.run(&["token", "revoke", "anna"]).done();
    assert!(site.run(&["token", "list"]).done().out.contains("revoked"));
    site.run(&["token", "revoke", "anna"]).fails("token list");
    site.run(&create).done();
    let past = [&create[..], &["--expires-at", "2020-01-01T00:00:00Z"]].concat();
    site.run(&past).fails("past");
}

#[test]
fn api_4_users_are_let_in_changed_and_shut_out_and_no_password_is_an_argument() {
    let site = Site::new();
    let create = |name: &str, role: &str, password: &str| {
        let verb = ["user", "create", "--name", name, "--role", role, "--password-stdin", "--reason", "new here"];
        run_in(site.dir.path(), &verb, password)
    };
    create("anna", "operator", "short\n").fails("at least 12 characters");
    create("anna", "operator", "password12345\n").fails("among the first that anybody tries");
    create("anna b", "operator", "otter mills fourteen\n").fails("no spaces");
    let made = create("anna", "admin", "otter mills fourteen\n").done();
    assert!(made.out.starts_with("usr_") && made.out.ends_with("anna may sign in as admin\n"), "{}", made.out);
    create("Anna", "viewer", "otter mills fourteen").fails("is there already");
    site.run(&["user", "create", "--name", "ben", "--role", "viewer"]).fails("--password-stdin");
    site.run(&["user", "disable", "anna"]).fails("make another user an admin first");
    create("ben", "viewer", "seven green harbours").done();
    site.run(&["user", "set-role", "ben", "admin"]).done();
    site.run(&["user", "disable", "ANNA", "--reason", "on leave"]).done();
    site.run(&["user", "enable", "anna"]).done();
    let other =
        run_in(site.dir.path(), &["user", "set-password", "anna", "--password-stdin"], "blue lamps at noon\r\n").done();
    assert!(other.out.contains("their sessions have ended"), "{}", other.out);
    site.run(&["user", "totp-reset", "anna"]).done();
    site.run(&["user", "sign-out", "anna"]).done();
    site.run(&["user", "remove", "carl"]).fails("user list");
    let listed = site.run(&["user", "list", "--json"]).done();
    assert_eq!((&listed.json()[0]["name"], &listed.json()[1]["role"]), (&"anna".into(), &"admin".into()));
    assert!(site.run(&["user", "list"]).done().out.contains("second factor"));
    site.run(&["user", "remove", "anna"]).done();
    let told = site.run(&["audit-log", "export"]).done().out;
    for word in ["user.create", "new here", "user.password", "on leave", "user.second_factor", "user.remove"] {
        assert!(told.contains(word), "{word}: {told}");
    }
    for secret in ["otter", "harbours", "lamps", "argon2"] {
        assert!(!told.contains(secret) && !listed.out.contains(secret), "{secret}");
    }
}

#[test]
fn verbs_that_read_do_not_make_an_empty_store() {
    let site = Site::new();
    site.run(&["orders"]).fails("does not exist yet");
    assert!(!site.dir.path().join("crossdock.db").exists());
    let made = site.run(&["migrate"]).done();
    assert!(made.out.contains("schema version"), "{}", made.out);
    assert_eq!(site.run(&["orders", "--json"]).done().json()["items"], Value::Array(Vec::new()));
    assert_eq!(site.run(&["exceptions", "groups", "--json"]).done().json(), Value::Array(Vec::new()));
    site.run(&["orders", "show", "000000404"]).fails("orders search");
    site.run(&["orders", "search", "404"]).fails("no order");
    let absent = format!("exc_{}", "0".repeat(26));
    site.run(&["exceptions", "show", &absent]).fails("crossdock exceptions");
}

#[test]
fn p2_the_ledger_is_a_verb_and_a_recount_proves_it() {
    let site = Site::new();
    site.run(&["migrate"]).done();
    let ledger = site.run(&["ledger", "--json"]).done().json();
    assert_eq!((&ledger["accepted"], &ledger["difference"]), (&0.into(), &0.into()));
    assert_eq!(ledger["money"], Value::Array(Vec::new()));
    assert!(site.run(&["ledger"]).done().out.contains("still due"));
    assert!(site.run(&["doctor", "--recount"]).done().out.contains("as it counts afresh"));
    let store = rusqlite::Connection::open(site.dir.path().join("crossdock.db")).unwrap();
    store.execute("INSERT INTO tallies VALUES ('accepted', 1)", []).unwrap();
    site.run(&["ledger"]).fails("");
    let recount = site.run(&["doctor", "--recount"]);
    assert_eq!(recount.code, 1);
    assert!(recount.out.contains("accepted is kept as 1 and counts 0"), "{}", recount.out);
    assert!(recount.out.contains("differs by 1"), "{}", recount.out);
}

#[test]
fn api_5_the_audit_is_exported_and_a_changed_or_cut_one_is_told() {
    let site = Site::new();
    let csv = site.write("skus.csv", "key,value,destination\nA,1,\n");
    site.run(&["mappings", "import", "skus", &csv, "--reason", "new items"]).done();
    site.run(&["token", "create", "--name", "anna", "--role", "viewer", "--reason", "wall screen"]).done();
    site.run(&["token", "revoke", "anna", "--reason", "gone"]).done();
    let exported = site.run(&["audit-log", "export"]).done().out;
    let rows: Vec<Value> = exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    assert_eq!(rows.len(), 3);
    for (row, action, reason) in [
        (&rows[0], "mappings.import", "new items"),
        (&rows[1], "token.create", "wall screen"),
        (&rows[2], "token.revoke", "gone"),
    ] {
        assert_eq!((told(row, "action"), told(row, "reason")), (action.to_owned(), reason.to_owned()));
        assert!(told(row, "actor").starts_with("cli:") && !told(row, "from").is_empty(), "{row}");
        assert!(!told(row, "target").is_empty() && !told(row, "after").is_empty(), "{row}");
    }
    assert!(told(&rows[2], "before").contains("anna"));
    let head = told(&rows[2], "digest");
    let verified = site.run(&["audit-log", "verify", "--head", &head, "--json"]).done().json();
    assert_eq!(
        (&verified["rows"], &verified["head_found"], &verified["broken"]),
        (&3.into(), &true.into(), &Value::Null)
    );
    let report = site.run(&["doctor", "--json"]).done().json();
    let audit = report.as_array().unwrap().iter().find(|finding| finding["what"] == "audit").unwrap();
    assert!(audit["detail"].as_str().unwrap().contains(&head), "{audit}");
    assert_eq!(site.run(&["audit-log", "export", "--after", "2"]).done().out.lines().count(), 1);
    assert_eq!(site.run(&["audit-log", "verify", "--head", "abc"]).code, 1);
    // A file is proved without the store, whole or in part, and a bent one is told.
    let empty = tempfile::tempdir().unwrap();
    let alone = |text: &str, more: &[&str]| {
        run_in(empty.path(), &[&["audit-log", "verify", "--file", "-"], more].concat(), text)
    };
    assert!(alone(&exported, &["--head", &head]).done().out.starts_with("3 rows, each follows"));
    alone(&exported, &["--head", &"0".repeat(64)]).fails("is not among them");
    alone(&exported.replace("wall screen", "wall"), &[]).fails("broken at row 2: its digest does not fit");
    alone("{}\n", &[]).fails("line 1");
    alone("", &[]).fails("nothing is proved");
    let part = site.run(&["audit-log", "export", "--action", "token"]).done().out;
    assert_eq!(part.lines().count(), 2);
    assert!(alone(&part, &[]).done().out.contains("left out in 1 places"));
    assert_eq!(site.run(&["audit-log", "export", "--actor", "user:anna"]).done().out, "");
    assert_eq!(site.run(&["audit-log", "export", "--until", "2020-01-01T00:00:00Z"]).done().out, "");
    let csv = site.run(&["audit-log", "export", "--format", "csv", "--action", "mappings.import"]).done().out;
    assert!(csv.starts_with("number,at,actor,") && csv.lines().count() == 2 && csv.contains("new items"), "{csv}");

    let store = rusqlite::Connection::open(site.dir.path().join("crossdock.db")).unwrap();
    store.execute_batch("DROP TRIGGER audit_is_never_shortened; DELETE FROM audit WHERE seq = 3").unwrap();
    site.run(&["audit-log", "verify"]).done();
    let cut = site.run(&["audit-log", "verify", "--head", &head]);
    assert!(cut.code == 1 && cut.out.contains("was cut or written anew"), "{}", cut.out);
    store.execute_batch("DROP TRIGGER audit_is_never_changed; UPDATE audit SET reason = '' WHERE seq = 2").unwrap();
    let changed = site.run(&["audit-log", "verify"]);
    assert!(changed.code == 1 && changed.out.contains("broken at row 2"), "{}", changed.out);
    let doctor = site.run(&["doctor"]);
    assert!(doctor.code == 1 && doctor.out.contains("broken at row 2"), "{}", doctor.out);
}

#[test]
fn doctor_looks_at_everything_and_exits_with_1_when_something_is_wrong() {
    let site = Site::new();
    site.run(&["migrate"]).done();
    let report = site.run(&["doctor", "--json"]);
    let findings = report.json();
    let verdict = |what: &str| {
        let found = findings.as_array().unwrap().iter().find(|finding| finding["what"] == what);
        found.unwrap_or_else(|| panic!("{what} was not looked at: {findings}"))["verdict"].clone()
    };
    for what in ["clock", "configuration", "store", "store settings", "ledger", "audit", "silent events"] {
        assert_eq!(verdict(what), "ok", "{what}");
    }
    assert_eq!(verdict("tokens"), "warning");
    site.write("crossdock.toml", "[server]\nlisten = \"nowhere\"\n");
    site.run(&["doctor"]).fails("listen");
    let empty = tempfile::tempdir().unwrap();
    assert!(run_in(empty.path(), &["doctor"], "").done().out.contains("--config FILE"));
}

#[test]
fn doctor_probes_a_health_path_for_containers() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/health/live", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        for answer in
            ["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", "HTTP/1.1 503 No\r\ncontent-length: 8\r\n\r\ndraining"]
        {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    let empty = tempfile::tempdir().unwrap();
    run_in(empty.path(), &["doctor", "--probe", &url], "").done();
    run_in(empty.path(), &["doctor", "--probe", &url], "").fails("draining");
    server.join().unwrap();
    run_in(empty.path(), &["doctor", "--probe", &url], "").fails("does not answer");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let site = Site::new();
    let rows = (0..20_000).map(|number| format!("SKU-{number:06},{number}"));
    let csv: Vec<String> = std::iter::once("key,value".to_owned()).chain(rows).collect();
    site.write("skus.csv", &csv.join("\n"));
    site.run(&["mappings", "import", "skus", "skus.csv"]).done();
    let mut child = Command::new(env!("CARGO_BIN_EXE_crossdock"))
        .args(["mappings", "export", "skus"])
        .current_dir(site.dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

#[test]
fn what_is_kept_of_a_product_is_shown_by_sku_and_by_id() {
    let site = Site::new();
    site.run(&["migrate"]).done();
    site.run(&["catalogue", "show", "BOARD"]).fails("nothing is kept of BOARD");
    let store = rusqlite::Connection::open(site.dir.path().join("crossdock.db")).unwrap();
    let body = r#"{"id":2058,"sku":"BOARD","type":"simple","price":"39.95","options":[{"id":"5","title":"Engraving","type":"field"}]}"#;
    let row =
        "INSERT INTO known (system, kind, id, sku, fetched_at, body) VALUES ('acme', 'product', 2058, 'BOARD', 0, ?1)";
    store.execute(row, [body]).unwrap();
    drop(store);
    for name in ["board", "2058"] {
        let shown = site.run(&["catalogue", "show", name, "--json"]).done().json();
        assert_eq!((&shown[0]["system"], &shown[0]["product"]["price"]), (&"acme".into(), &"39.95".into()));
    }
    let table = site.run(&["catalogue", "show", "2058"]).done();
    assert!(table.out.contains("Engraving") && table.out.contains("39.95"), "{}", table.out);
}

const RECIPE: &str = r#"
about = "An ERP of our own"
guard = "find"
[settings]
company = { about = "the company's number" }
[[steps]]
name = "find"
kind = "find"
path = "/orders?ref={{ order.increment_id }}"
list = "/items"
reference = "/ref"
[[steps]]
name = "create"
kind = "create"
path = "/orders"
body = '{"ref": "{{ order.increment_id }}", "company": {{ with.company }}, "total": "{{ totals.total }}"}'
"#;

fn with_recipe(settings: &str) -> Site {
    let site = Site::new();
    site.write("erp.recipe.toml", RECIPE);
    let config = CONFIG
        .replace("profile = \"http\"", "profile = \"recipe\"\nrecipe = \"erp.recipe.toml\"")
        .replace("guard = \"key\"\nkey_window = \"24h\"", settings);
    site.write("crossdock.toml", &config);
    site
}

#[test]
fn render_shows_what_a_recipe_would_send_and_sends_nothing() {
    let site = with_recipe("with = { company = 7 }");
    let order = include_str!("../src/demo/orders/simple.json");
    let file = site.write("order.json", order);
    let ran = site.run(&["render", "--destination", "erp", &file]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("POST http://127.0.0.1:1/sales-orders/orders"), "{}", ran.out);
    assert!(ran.out.contains("\"ref\": \"100000101\"") && ran.out.contains("\"company\": 7"), "{}", ran.out);
    let ran = site.run(&["render", "--json", "--destination", "erp", &file]);
    let shown: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(shown[0]["requests"][0]["kind"], "find", "{shown}");
    let ran = site.run(&["render", "--destination", "nobody", &file]);
    assert!(ran.code != 0 && ran.err.contains("there are: erp"), "{}", ran.err);
    let file = site.write("broken.json", "{");
    assert_eq!(site.run(&["render", "--destination", "erp", &file]).code, 1);
}

#[test]
fn check_says_what_is_wrong_with_a_recipe() {
    for (settings, recipe, told) in [
        ("with = { company = 7 }", RECIPE.to_owned(), "is valid"),
        ("", RECIPE.to_owned(), "with.company is missing: the company's number"),
        (
            "with = { company = 7, colour = 1 }",
            RECIPE.to_owned(),
            "with.colour is no setting of this recipe; it has company",
        ),
        ("with = { company = 0.5 }", RECIPE.to_owned(), "is a binary fraction"),
        ("with = { company = 7 }", RECIPE.replace("kind = \"find\"", "kind = \"look\""), "erp.recipe.toml line"),
        ("with = { company = 7 }", RECIPE.replace("{{ totals.total }}", "{{ totals.total"), "step create.body"),
        ("with = { company = 7 }", RECIPE.replace("totals.total", "totals.nothing"), "on the sample order"),
        ("with = { company = 7 }\non_difference = \"shrug\"", RECIPE.to_owned(), "on_difference"),
        ("with = { company = 7 }\nguard = \"key\"", RECIPE.to_owned(), "key_window"),
    ] {
        let site = with_recipe(settings);
        site.write("erp.recipe.toml", &recipe);
        let ran = site.run(&["check"]);
        let said = format!("{}{}", ran.out, ran.err);
        assert!(said.contains(told), "{told}: {said}");
    }
    let site = with_recipe("with = { company = 7 }");
    std::fs::remove_file(site.dir.path().join("erp.recipe.toml")).unwrap();
    let ran = site.run(&["check"]);
    assert!(ran.code == 1 && ran.out.contains("erp.recipe.toml cannot be read"), "{}", ran.out);
}
