use std::{
    error::Error as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};

use super::{
    super::{
        cloud::{Cloud, Service},
        event::{ArmEvent, Why},
        tests::{HEADER, Reply, Server, TOKEN, limits},
    },
    Arm, ArmError, ArmErrorKind, Limits, Missing, Trouble,
};

const PATH: &str =
    "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachineScaleSets/web";

async fn get(arm: &Arm) -> Result<Value, ArmError> {
    arm.get("scale set \"web\"", PATH, "2024-11-01", &[]).await
}

async fn list(arm: &Arm) -> Result<Vec<Value>, ArmError> {
    arm.list("the instances", PATH, "2024-11-01", &[("$expand", "instanceView")]).await
}

/// The error that a reply leads to, shown with its cause and hint.
async fn error_of(reply: impl Fn() -> Reply + Send + Sync + 'static) -> (ArmError, String) {
    let server = Server::start(move |_, _| reply()).await;
    let error = get(&server.arm()).await.unwrap_err();
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    let shown = format!("{error}\n{cause}\n{}", error.hint().unwrap_or_default());
    assert!(!format!("{shown}{error:?}").contains("secret"), "{shown}{error:?}");
    (error, shown)
}

#[tokio::test]
async fn a_document_is_asked_for_with_a_token() {
    let server = Server::start(|_, _| Reply::json(200, r#"{"name": "web"}"#)).await;
    assert_eq!(get(&server.arm()).await.unwrap(), json!({"name": "web"}));
    let seen = server.seen();
    assert_eq!(seen[0].line, format!("GET {PATH}?api-version=2024-11-01 HTTP/1.1"));
    assert_eq!(seen[0].authorization, format!("Bearer {TOKEN}-1"));
}

#[tokio::test]
async fn pages_are_followed_as_they_are_named() {
    let server = Server::start(|n, _| match n {
        0 => Reply::json(200, r#"{"value": [1, 2], "nextLink": "/next?api-version=1&$skiptoken=a+b%2f"}"#),
        1 => Reply::json(200, r#"{"value": [], "nextLink": "/next?2"}"#),
        _ => Reply::json(200, r#"{"value": [3], "nextLink": ""}"#),
    })
    .await;
    assert_eq!(list(&server.arm()).await.unwrap(), [json!(1), json!(2), json!(3)]);
    let lines: Vec<_> = server.seen().into_iter().map(|seen| seen.line).collect();
    assert_eq!(lines[0], format!("GET {PATH}?api-version=2024-11-01&%24expand=instanceView HTTP/1.1"));
    assert_eq!(lines[1..], ["GET /next?api-version=1&$skiptoken=a+b%2f HTTP/1.1", "GET /next?2 HTTP/1.1"]);
}

#[tokio::test]
async fn pages_that_do_not_end_are_an_error() {
    let round = Server::start(|_, _| Reply::json(200, r#"{"value": [], "nextLink": "/a"}"#)).await;
    let error = list(&round.arm()).await.unwrap_err().to_string();
    assert_eq!(error, "can't get the instances from Azure: the pages of the list go round in a circle");
    let long =
        Server::start(|n, _| Reply::json(200, &format!(r#"{{"value": [], "nextLink": "/{n}"}}"#))).await;
    let error = list(&long.arm()).await.unwrap_err();
    assert!(error.to_string().ends_with("the list has more than 4 pages"), "{error}");
    assert_eq!(error.kind(), ArmErrorKind::Limit);
    let none = Server::start(|_, _| Reply::json(200, "[]")).await;
    assert_eq!(list(&none.arm()).await.unwrap_err().kind(), ArmErrorKind::NotArm);
}

#[tokio::test]
async fn throttling_is_obeyed_and_told() {
    let server = Server::start(|n, _| match n {
        0 => Reply::error(429, "OperationNotAllowed", "x").with("Retry-After", "1"),
        1 => Reply::error(503, "ServerTimeout", "x").with("Retry-After", "0"),
        _ => Reply::json(200, "{}"),
    })
    .await;
    let events = Arc::new(Mutex::new(Vec::new()));
    let told = events.clone();
    let arm = server.arm_with(limits(), move |event| told.lock().unwrap().push(event));
    let started = std::time::Instant::now();
    get(&arm).await.unwrap();
    assert!(started.elapsed() >= Duration::from_secs(1));
    let what = || "scale set \"web\"".to_owned();
    let sign_in = || "the sign-in with the managed identity of IDENTITY_ENDPOINT".to_owned();
    assert_eq!(
        *events.lock().unwrap(),
        [
            ArmEvent::Started { what: what() },
            ArmEvent::Started { what: sign_in() },
            ArmEvent::Finished { what: sign_in() },
            ArmEvent::Waiting { what: what(), wait: Duration::from_secs(1), why: Why::Throttled },
            ArmEvent::Waiting { what: what(), wait: Duration::ZERO, why: Why::Trouble(503) },
            ArmEvent::Finished { what: what() },
        ]
    );
}

#[tokio::test]
async fn a_wait_beyond_the_bound_is_named() {
    let throttled = || Reply::error(429, "OperationNotAllowed", "Slow down.");
    let (error, shown) = error_of(move || throttled().with("Retry-After", "300")).await;
    assert!(
        shown.contains("Azure gets too many requests (429) and asks to wait 300 s, longer than the 2 s"),
        "{shown}"
    );
    assert_eq!(error.kind(), ArmErrorKind::Throttled);
    let (error, shown) = error_of(throttled).await;
    assert!(
        shown.starts_with("can't get scale set \"web\" from Azure: too many requests, also at try 3 (429 OperationNotAllowed)\nAzure: Slow down.\n"),
        "{shown}"
    );
    assert_eq!(error.kind(), ArmErrorKind::Throttled);
}

#[tokio::test]
async fn the_whole_time_is_limited() {
    let server = Server::start(|_, _| Reply::error(500, "X", "x").with("Retry-After", "1")).await;
    let arm = server.arm_with(Limits { total: Duration::from_millis(300), ..limits() }, |_| {});
    let error = get(&arm).await.unwrap_err();
    assert!(error.to_string().ends_with("given up after 300 ms: Azure has trouble (500)"), "{error}");
    let silent = Server::start(|_, _| Reply::Silence).await;
    let arm = silent.arm_with(Limits { total: Duration::from_millis(300), ..limits() }, |_| {});
    assert!(get(&arm).await.unwrap_err().to_string().ends_with("given up after 300 ms"));
    let arm = silent.arm_with(Limits { request: Duration::from_millis(50), ..limits() }, |_| {});
    let error = get(&arm).await.unwrap_err();
    assert_eq!(error.kind(), ArmErrorKind::Network(Trouble::Silent));
    assert!(error.to_string().contains("did not answer in time, also at try 3"), "{error}");
}

#[tokio::test]
async fn a_broken_connection_is_tried_again() {
    let server = Server::start(|n, _| match n {
        0 => Reply::Drop,
        1 => Reply::Half,
        _ => Reply::json(200, "{}"),
    })
    .await;
    get(&server.arm()).await.unwrap();
    let (error, shown) = error_of(|| Reply::Drop).await;
    assert_eq!(error.kind(), ArmErrorKind::Network(Trouble::Dropped));
    assert!(shown.contains("broke, also at try 3"), "{shown}");
}

#[tokio::test]
async fn no_network_is_told_apart() {
    let server = Server::start(|_, _| Reply::Drop).await;
    let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let at = |base: &str| {
        let service = Service::new(Cloud::AzurePublic, Some(base)).unwrap();
        Arm::new(service, server.sign_in(), limits(), |_| {}).unwrap()
    };
    let error = get(&at(&format!("http://{unused}"))).await.unwrap_err();
    assert_eq!(error.kind(), ArmErrorKind::Network(Trouble::Refused), "{error:?}");
    assert!(
        error.to_string().ends_with(&format!("127.0.0.1:{} refuses the connection", unused.port())),
        "{error}"
    );
    // TLS spoken to a server that speaks something else.
    let plain = Server::start(|_, _| Reply::Drop).await;
    let error = get(&at(&plain.url("").replace("http:", "https:"))).await.unwrap_err();
    assert!(matches!(error.kind(), ArmErrorKind::Network(Trouble::Tls | Trouble::Dropped)), "{error:?}");
}

#[tokio::test]
async fn work_that_takes_longer_is_waited_for() {
    let server = Server::start(|n, seen| match n {
        0 => Reply::json(202, "").with("Location", "/operations/1?x").with("Retry-After", "0"),
        1 => Reply::json(202, "").with("Retry-After", "0"),
        _ => Reply::json(200, &json!({"at": seen.line}).to_string()),
    })
    .await;
    let body = json!({"ipAddress": "10.0.0.4"});
    let answer = server.arm().post("the ports", "/subscriptions/s/query", "2023-09-01", &body).await.unwrap();
    assert_eq!(answer, json!({"at": "GET /operations/1?x HTTP/1.1"}));
    let seen = server.seen();
    assert_eq!(seen[0].line, "POST /subscriptions/s/query?api-version=2023-09-01 HTTP/1.1");
    assert_eq!(serde_json::from_str::<Value>(&seen[0].body).unwrap(), body);
    let again = Server::start(|n, _| match n {
        0 => Reply::json(202, "").with("Retry-After", "0"),
        _ => Reply::json(204, ""),
    })
    .await;
    assert_eq!(get(&again.arm()).await.unwrap(), Value::Null);
    assert_eq!(again.seen()[1].line, again.seen()[0].line);
}

#[tokio::test]
async fn the_token_goes_nowhere_else() {
    let other = Server::start(|_, _| Reply::json(200, "{}")).await;
    let away = other.url("/x");
    for (status, header, link) in [(202, "Location", "Location"), (302, "Location", "redirect")] {
        let away = away.clone();
        let (error, shown) = error_of(move || Reply::json(status, "").with(header, away.clone())).await;
        assert_eq!(error.kind(), ArmErrorKind::Elsewhere);
        assert!(shown.contains(&format!("its {link} leads to {}", other.url(""))), "{shown}");
    }
    let page = json!({"value": [1], "nextLink": away}).to_string();
    let server = Server::start(move |_, _| Reply::json(200, &page)).await;
    let error = list(&server.arm()).await.unwrap_err();
    assert!(error.to_string().contains("its nextLink leads to http://127.0.0.1:"), "{error}");
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn what_is_not_arm_is_described() {
    let page = "<html><head><title>Sign in to\n the WLAN\u{202e}</title></head></html>";
    for status in [200, 403, 404] {
        let (error, shown) = error_of(move || Reply::html(status, page)).await;
        let expected = format!(
            "the answer is not ARM's: text/html, titled \"Sign in to the WLAN\\u{{202e}}\" ({status})"
        );
        assert!(shown.contains(&expected), "{shown}");
        assert_eq!((error.kind(), error.is_unreadable()), (ArmErrorKind::NotArm, false));
    }
    let (error, shown) = error_of(|| Reply::html(502, "<title>502 Bad Gateway</title>")).await;
    assert!(shown.contains("Azure has trouble, also at try 3 (502)\nAzure: 502 Bad Gateway"), "{shown}");
    assert_eq!(error.kind(), ArmErrorKind::Server);
    let (error, shown) = error_of(|| Reply::json(200, r#"{"name": "we"#)).await;
    assert!(shown.contains("ends in the middle of its JSON, after 12 bytes (200)"), "{shown}");
    assert_eq!(error.kind(), ArmErrorKind::NotArm);
    let (_, shown) = error_of(|| Reply::json(200, r#"{"name": we}"#)).await;
    assert!(shown.contains("the answer is broken JSON"), "{shown}");
    let (error, shown) = error_of(|| Reply::json(200, &"1".repeat(10_001))).await;
    assert!(shown.contains("longer than 0 MiB"), "{shown}");
    assert_eq!(error.kind(), ArmErrorKind::Limit);
}

#[tokio::test]
async fn a_missing_right_is_named_with_the_command_that_gives_it() {
    let message = |action: &str, scope: &str| {
        format!(
            "The client 'x' with object id '11-aa' does not have authorization to perform action '{action}' over scope '{scope}' or the scope is invalid."
        )
    };
    let text = message("Microsoft.Network/loadBalancers/read", "/subscriptions/s/resourceGroups/g");
    let (error, shown) = error_of(move || Reply::error(403, "AuthorizationFailed", &text)).await;
    assert!(error.is_unreadable());
    assert_eq!((error.status(), error.code()), (Some(403), Some("AuthorizationFailed")));
    assert!(
        shown.contains("no right to \"Microsoft.Network/loadBalancers/read\" on /subscriptions/s/resourceGroups/g (403 AuthorizationFailed)"),
        "{shown}"
    );
    assert!(
        shown.contains("`az role assignment create --assignee 11-aa --role Reader --scope /subscriptions/s/resourceGroups/g`"),
        "{shown}"
    );
    let text = message("A/b/action", "/s/`reboot`");
    let (_, shown) = error_of(move || Reply::error(403, "AuthorizationFailed", &text)).await;
    assert!(shown.contains("--role 'Network Contributor' --scope SCOPE`"), "{shown}");
}

#[tokio::test]
async fn what_is_missing_is_told_apart() {
    for (code, missing, hint) in [
        ("SubscriptionNotFound", Missing::Subscription, "az account list"),
        ("ResourceGroupNotFound", Missing::Group, "az group list --subscription s -o table"),
        ("ResourceNotFound", Missing::Resource, "az resource list -g g --subscription s -o table"),
        ("ParentResourceNotFound", Missing::Parent, "az resource list -g g"),
        ("Odd\u{1b}", Missing::Something, "az resource list"),
    ] {
        let (error, shown) = error_of(move || Reply::error(404, code, "gone")).await;
        assert_eq!((error.kind(), error.is_unreadable()), (ArmErrorKind::NotFound(missing), true));
        assert!(shown.contains(hint) && !shown.contains('\u{1b}'), "{shown}");
    }
    let (error, shown) = error_of(|| Reply::error(400, "InvalidApiVersionParameter", "no")).await;
    assert_eq!(error.kind(), ArmErrorKind::Invalid);
    assert!(shown.contains("the request is refused (400 InvalidApiVersionParameter)\nAzure: no"), "{shown}");
}

#[tokio::test]
async fn an_expired_token_is_renewed_once() {
    let server = Server::start(|_, seen| match seen.authorization.ends_with("-1") {
        true => Reply::error(401, "ExpiredAuthenticationToken", "x"),
        false => Reply::json(200, "{}"),
    })
    .await;
    let arm = server.arm();
    let (one, two, three) = tokio::join!(get(&arm), get(&arm), get(&arm));
    assert!(one.is_ok() && two.is_ok() && three.is_ok());
    assert_eq!(server.tokens(), 2);
    let expired = Server::start(|_, _| {
        Reply::error(401, "InvalidAuthenticationToken", "x")
            .with("WWW-Authenticate", "Bearer error_description=\"The access token has expired\"")
    })
    .await;
    let error = get(&expired.arm()).await.unwrap_err();
    assert_eq!((error.kind(), expired.tokens()), (ArmErrorKind::Unauthorized, 2));
    assert!(error.hint().unwrap().contains("`az login`"));
    let (_, shown) = error_of(|| Reply::error(401, "InvalidAuthenticationTokenTenant", "x")).await;
    assert!(shown.contains("az login --tenant"), "{shown}");
}

#[tokio::test]
async fn calls_side_by_side_sign_in_once() {
    let server = Server::start(|_, _| Reply::json(200, "{}")).await;
    let arm = server.arm();
    let all = futures_util::future::join_all((0..20).map(|_| get(&arm))).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!((server.tokens(), server.seen().len()), (1, 20));
    assert!(!format!("{arm:?}").contains("secret"));
}

#[tokio::test]
async fn a_sign_in_that_fails_is_tried_once_and_says_why() {
    let answers = |_: usize, _: &super::super::tests::Seen| Reply::json(200, "{}");
    let server = Server::start_with(answers, Some(|| Reply::json(400, &format!("{HEADER} echoed")))).await;
    let arm = server.arm();
    let (one, two) = tokio::join!(get(&arm), get(&arm));
    assert_eq!(server.tokens(), 1);
    for error in [one.unwrap_err(), two.unwrap_err()] {
        assert_eq!(error.kind(), ArmErrorKind::SignIn);
        assert_eq!(error.to_string(), "can't get scale set \"web\" from Azure");
        let cause = error.source().unwrap().to_string();
        assert_eq!(
            cause,
            "can't sign in to Azure with the managed identity of IDENTITY_ENDPOINT: it answers 400"
        );
        assert!(error.hint().unwrap().contains("az webapp identity show"));
        assert!(!format!("{error:?}").contains("secret"));
    }
    let silent = Server::start_with(answers, Some(|| Reply::Silence)).await;
    let arm = silent.arm_with(Limits { sign_in: Duration::from_millis(100), ..limits() }, |_| {});
    let error = get(&arm).await.unwrap_err();
    assert!(error.source().unwrap().to_string().ends_with("no answer within 0.1 s"), "{error:?}");
}

#[tokio::test]
async fn an_end_is_told_also_of_what_is_given_up() {
    let server = Server::start(|_, _| Reply::Silence).await;
    let events = Arc::new(Mutex::new(Vec::new()));
    let told = events.clone();
    let arm = server.arm_with(limits(), move |event| told.lock().unwrap().push(event));
    assert!(tokio::time::timeout(Duration::from_millis(100), get(&arm)).await.is_err());
    let last = events.lock().unwrap().last().cloned();
    assert_eq!(last, Some(ArmEvent::Finished { what: "scale set \"web\"".into() }));
}
