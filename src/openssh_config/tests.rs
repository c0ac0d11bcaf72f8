#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]
use proptest::prelude::*;

use super::*;

fn env(name: &str) -> Option<String> {
    (name == "KEYS").then(|| "/keys".into())
}

fn config(text: &str) -> Result<Config, ConfigError> {
    let document = |file: &str, text: &str| Document {
        file: file.into(),
        text: text.into(),
        folder: "/home/me/.ssh".into(),
    };
    // `Include self` includes itself for ever.
    let mut include = |include: Include<'_>| match include.pattern {
        "self" => Ok(vec![document("self", "Include self")]),
        "bad" => Ok(vec![document("bad", "\nPort x")]),
        _ => Ok(Vec::new()),
    };
    Config::parse(&[], &[document("config", text)], &mut include)
}

fn lookup<'a>(host: &'a str, names: &'a [&'a str]) -> Lookup<'a> {
    Lookup {
        host,
        other_names: names,
        host_name: HostNameUse::LeaveOut,
        user: None,
        fallback_user: "azureuser",
        port: Some(50003),
        tag: None,
        local: Local { user: "me", uid: "1000", home: "/home/me", hostname: "desk.example", env: &env },
    }
}

fn found(text: &str, host: &str, names: &[&str]) -> HostConfig {
    config(text).unwrap().lookup(&lookup(host, names)).unwrap()
}

fn error(text: &str) -> String {
    match config(text) {
        Err(error) => error.to_string(),
        Ok(config) => config.lookup(&lookup("20.1.2.3", &["web_3"])).unwrap_err().to_string(),
    }
}

#[test]
fn blocks_for_the_frontend_and_for_the_instance_are_in_force_in_the_order_of_the_file() {
    let text = "Host WEB_3\nUser three\nHost 20.1.2.3\nUser front\nServerAliveCountMax 9\nHost *\nUser all";
    assert_eq!(found(text, "20.1.2.3", &["web_3"]).user.as_deref(), Some("three"));
    assert_eq!(found(text, "20.1.2.3", &["web_3"]).keepalive_count(), Some(9));
    assert_eq!(found(text, "20.1.2.3", &["web_4"]).user.as_deref(), Some("front"));
    assert_eq!(found(text, "20.9.9.9", &[]).user.as_deref(), Some("all"));
    // What is excluded by either name is excluded.
    let text = "Host * !web_3\nUser others\nMatch host 20.1.2.3 originalhost web_*\nUser match";
    assert_eq!(found(text, "20.1.2.3", &["web_3"]).user.as_deref(), Some("match"));
    assert_eq!(found(text, "20.1.2.3", &["web_4"]).user.as_deref(), Some("others"));
}

#[test]
fn a_block_never_leads_an_instance_elsewhere() {
    let found = found("HostName evil.example\nPort 22", "20.1.2.3", &["web_3"]);
    assert_eq!((found.host.as_str(), found.port), ("20.1.2.3", Some(50003)));
    assert!(found.place(Keyword::HOST_NAME).is_some());
}

#[test]
fn tokens_and_variables_are_put_in_where_they_may_stand() {
    let text = "User %u-%%\nIdentityFile ~/%h/%n/%p/%r/%i/%L\nIdentityFile ${KEYS}/%d\nHostKeyAlias Key\n\
                CertificateFile /c/%k\nUserKnownHostsFile ~/a none /b\n";
    assert!(error(text).contains("takes `none` alone"));
    let found = found(&text.replace(" none", ""), "20.1.2.3", &["web_3"]);
    assert_eq!(found.user.as_deref(), Some("me-%"));
    assert_eq!(
        found.identity_files.unwrap(),
        ["/home/me/20.1.2.3/20.1.2.3/50003/me-%/1000/desk", "/keys//home/me"]
    );
    assert_eq!(found.certificate_files, ["/c/key"]);
    assert_eq!(found.user_known_hosts.unwrap(), ["/home/me/a", "/b"]);
    for (text, word) in [
        ("IdentityFile %q", "`%q` means nothing"),
        ("IdentityFile a%", "at the end"),
        ("IdentityFile ${NONE}", "NONE"),
        ("IdentityFile ${A", "never closed"),
        ("IdentityFile ~other/key", "home folder"),
        ("ProxyJump %u@x", "%u"),
    ] {
        assert!(error(text).starts_with("config:1: ") && error(text).contains(word), "{}", error(text));
    }
}

#[test]
fn what_can_not_be_told_is_an_error_only_where_it_matters() {
    for criterion in ["exec true", "localnetwork 10.0.0.0/8", "version OpenSSH_*"] {
        let text =
            format!("Match host other.example {criterion}\nUser a\nMatch {criterion} host other\nUser b");
        assert_eq!(found(&text, "20.1.2.3", &[]).user, None);
        let text = format!("Match {criterion} host 20.*\nUser a");
        assert!(error(&text).contains("depends on"), "{}", error(&text));
    }
    let tagged = config("Match tagged prod\nUser deploy").unwrap();
    let lookup = Lookup { tag: Some("prod"), ..lookup("20.1.2.3", &[]) };
    assert_eq!(tagged.lookup(&lookup).unwrap().user.as_deref(), Some("deploy"));
}

#[test]
fn errors_have_their_place() {
    for (text, right) in [
        ("\n\nPort no", "config:3: Port takes a port, not `no`"),
        ("Include bad", "bad:2: Port takes a port, not `x`"),
        ("Include self", "self:1: files include each other more than 16 deep"),
        ("Userr x", "config:1: there is no keyword `Userr`"),
        ("User a\0b", "config:1: not text: there is a zero byte"),
        ("ProxyCommand nc %h %u", "config:1: `%u` means nothing in `nc %h %u`"),
    ] {
        assert_eq!(error(text), right);
    }
    assert!(error("\x1b[31m x").contains("^["), "{}", error("\x1b[31m x"));
    let options = ["User=a".to_owned(), "Host x".to_owned()];
    let error = Config::parse(&options, &[], &mut |_| Ok(Vec::new())).unwrap_err();
    assert!(error.to_string().starts_with("-o:2: "), "{error}");
}

#[test]
fn lists_of_algorithms_change_the_default() {
    let (default, all) = (["a1", "b1", "b2"], ["a1", "b1", "b2", "c1"]);
    for (list, right) in [
        ("b2,a1", "b2,a1"),
        ("+c1", "a1,b1,b2,c1"),
        ("-b*", "a1"),
        ("^b2", "b2,a1,b1"),
        ("+c*,a1", "a1,b1,b2,c1"),
        ("*1", "a1,b1,c1"),
    ] {
        assert_eq!(assemble(list, &default, &all).names.join(","), right, "{list}");
    }
    assert_eq!(assemble("+x,c1", &default, &all).unknown, ["x"]);
}

#[test]
fn the_environment_is_what_is_named() {
    let here = ["LANG", "LC_ALL", "SECRET", "FOO"].map(|name| (name.to_owned(), "1".to_owned()));
    let found = found("SendEnv LANG LC_*\nSendEnv -LC_* FOO\nSetEnv FOO=2 BAR=x=y", "h", &[]);
    let sent: Vec<_> = found.environment(&here).iter().map(|(n, v)| format!("{n}={v}")).collect();
    assert_eq!(sent, ["FOO=2", "BAR=x=y", "LANG=1"]);
}

#[test]
fn jumps_are_read() {
    let jumps = Jump::parse_list("a@b@host:2022,[::1]:23,ssh://x@plain/,::2").unwrap();
    let text: Vec<_> =
        jumps.iter().map(|j| (j.user.as_deref(), j.host.as_str(), j.port.map(|p| p.get()))).collect();
    assert_eq!(
        text,
        [
            (Some("a@b"), "host", Some(2022)),
            (None, "::1", Some(23)),
            (Some("x"), "plain", None),
            (None, "::2", None)
        ]
    );
    for bad in ["", "a,", "@h", "h:0", "h:x", "-oProxyCommand=x", "[::1", "a b"] {
        assert!(Jump::parse_list(bad).is_err(), "{bad}");
    }
}

#[test]
fn many_hosts_are_looked_up_at_once() {
    let blocks: String = (0..50).map(|n| format!("Host web_{n}\nUser u{n}\n")).collect();
    let config = config(&format!("{blocks}Host *\nIdentityFile ~/.ssh/key\nServerAliveInterval 20")).unwrap();
    let names: Vec<String> = (0..1000).map(|n| format!("web_{n}")).collect();
    let mut different: Vec<HostConfig> = Vec::new();
    let start = std::time::Instant::now();
    let all: Vec<_> = names.iter().map(|name| config.lookup(&lookup("20.1.2.3", &[name])).unwrap()).collect();
    println!("1,000 look-ups: {:?}", start.elapsed());
    for one in all {
        if !different.contains(&one) {
            different.push(one);
        }
    }
    assert_eq!(different.len(), 51);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(\\PC|[\\n\"'\\\\=%{}$~#!,:\\[\\] \\t]){0,200}") {
        if let Ok(config) = config(&text) {
            let _ = config.lookup(&lookup("20.1.2.3", &["web_3"])).map(|found| found.lines());
        }
    }

    #[test]
    fn no_values_make_it_panic(
        lines in prop::collection::vec(
            (
                prop::sample::select(vec![
                    "Host", "Match", "Include", "HostName", "User", "Port", "IdentityFile", "IdentityAgent",
                    "ProxyJump", "ConnectTimeout", "UserKnownHostsFile", "SendEnv", "SetEnv", "Ciphers",
                    "EscapeChar", "LocalForward", "RemoteForward", "DynamicForward", "IgnoreUnknown",
                ]),
                "(\\PC|[\"'\\\\=%{}$~#!,:/@\\[\\] \\t0-9]|all|final|host|none){0,12}",
            ),
            0..6,
        )
    ) {
        let text: String = lines.iter().map(|(keyword, value)| format!("{keyword} {value}\n")).collect();
        if let Ok(config) = config(&text) {
            let mut lookup = lookup("20.1.2.3", &["web_3"]);
            lookup.host_name = HostNameUse::Dial;
            if let Ok(found) = config.lookup(&lookup) {
                let _ = (found.lines(), found.environment(&[]), found.escape_char());
                let _ = found.algorithms(Keyword::CIPHERS, &["a"], &["a", "b"]);
            }
        }
    }
}
