//! The server as a client on the wire sees it.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use serde_json::{Value, json};

use super::*;

mod mapping;

const GROUP_PATH: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/lab-rg";

struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    /// The status and ARM's code.
    fn error(&self) -> (u16, String) {
        (self.status, self.json()["error"]["code"].as_str().unwrap().into())
    }
}

struct Rig {
    server: AzureServer,
    token: String,
}

impl Rig {
    async fn new(world: World, faults: &[&str]) -> Self {
        let faults = faults.iter().map(|text| text.parse().unwrap()).collect();
        let mut rig = Self { server: AzureServer::start(world, faults).await.unwrap(), token: String::new() };
        rig.token = rig.sign_in().await;
        rig
    }

    async fn lab(instances: u16, faults: &[&str]) -> Self {
        let ports: Vec<_> = (50_000..50_000 + instances).collect();
        let vm_ids: Vec<_> = ports.iter().map(|_| guid()).collect();
        let description = Description { ports: &ports, vm_ids: &vm_ids, public_key: "ssh-ed25519 AAAA" };
        Self::new(world_of(description), faults).await
    }

    async fn sign_in(&self) -> String {
        let word = format!("X-IDENTITY-HEADER: {}", self.server.identity_header());
        let path = "/msi/token?api-version=2019-08-01&resource=https%3A%2F%2Fmanagement.azure.com%2F";
        let reply = self.send("GET", path, &word, "").await.unwrap();
        assert_eq!(
            (reply.status, reply.json()["resource"].as_str()),
            (200, Some("https://management.azure.com/"))
        );
        reply.json()["access_token"].as_str().unwrap().into()
    }

    /// One request on a connection of its own; `None` where it is closed without an answer.
    async fn send(&self, method: &str, target: &str, header: &str, body: &str) -> Option<Reply> {
        let address = self.server.endpoint().strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let header = if header.is_empty() { String::new() } else { format!("{header}\r\n") };
        let length = body.len();
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{header}Content-Length: {length}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).await.unwrap();
        let (head, body) = reply.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().unwrap();
        Some(Reply { status, head: head.into(), body: body.into() })
    }

    /// A signed-in request for a path in the lab's group, or for a whole link.
    async fn try_send(&self, method: &str, target: &str, body: &str) -> Option<Reply> {
        let target = match target.strip_prefix(self.server.endpoint()) {
            Some(path) => path.into(),
            None if target.starts_with("/subscriptions") => target.into(),
            None => format!("{GROUP_PATH}/providers/{target}"),
        };
        self.send(method, &target, &format!("Authorization: Bearer {}", self.token), body).await
    }

    async fn get(&self, target: &str) -> Reply {
        self.try_send("GET", target, "").await.unwrap()
    }

    async fn post(&self, target: &str, body: &Value) -> Reply {
        self.try_send("POST", target, &body.to_string()).await.unwrap()
    }
}

const SET: &str = "Microsoft.Compute/virtualMachineScaleSets/lab";
const BALANCER: &str = "Microsoft.Network/loadBalancers/lab-lb";

#[tokio::test]
async fn the_sign_in_wants_its_word_and_its_parameters() {
    let rig = Rig::lab(1, &[]).await;
    let word = format!("X-IDENTITY-HEADER: {}", rig.server.identity_header());
    let target = "/msi/token?api-version=2019-08-01&resource=r";
    for (method, target, header, status) in [
        ("GET", target, word.as_str(), 200),
        ("GET", target, "", 400),
        ("GET", target, "X-IDENTITY-HEADER: guess", 400),
        ("GET", "/msi/token?resource=r", &word, 400),
        ("GET", "/msi/token?api-version=2019-08-01&resource=", &word, 400),
        ("POST", target, &word, 405),
    ] {
        assert_eq!(
            rig.send(method, target, header, "").await.unwrap().status,
            status,
            "{method} {target} {header}"
        );
    }
    // One token for all, until it has to be another.
    assert_eq!(rig.sign_in().await, rig.token);
    assert_eq!(rig.server.identity_endpoint(), format!("{}/msi/token", rig.server.endpoint()));
}

#[tokio::test]
async fn only_its_own_token_opens_it() {
    let rig = Rig::lab(1, &[]).await;
    let target = format!("{GROUP_PATH}/providers/{SET}?api-version=1");
    for (header, code) in [
        ("", "AuthenticationFailed"),
        ("Authorization: Bearer ", "AuthenticationFailed"),
        ("Authorization: Basic eDp5", "AuthenticationFailed"),
        ("Authorization: Bearer guess", "InvalidAuthenticationToken"),
    ] {
        let reply = rig.send("GET", &target, header, "").await.unwrap();
        assert_eq!(reply.error(), (401, code.into()), "{header}");
        assert!(reply.header("www-authenticate").unwrap().starts_with("Bearer authorization_uri="));
    }
    let header = format!("authorization: bearer {}", rig.token);
    assert_eq!(rig.send("GET", &target, &header, "").await.unwrap().status, 200);
}

#[tokio::test]
async fn documents_are_found_by_paths_in_any_case_and_by_their_parts_ids() {
    let rig = Rig::lab(2, &[]).await;
    for (path, name) in [
        (SET, "lab"),
        ("microsoft.compute/VIRTUALMACHINESCALESETS/LAB", "lab"),
        (&format!("{SET}/virtualMachines/1"), "lab_1"),
        (&format!("{SET}/virtualMachines/1/networkInterfaces/lab-nic"), "lab-nic"),
        (&format!("{BALANCER}/inboundNatRules/SSH.1/"), "ssh.1"),
        (&format!("{BALANCER}/backendAddressPools/lab-backend"), "lab-backend"),
        (&format!("{BALANCER}/frontendIPConfigurations/lab-fe"), "lab-fe"),
        ("Microsoft.Network/virtualNetworks/lab-vnet/subnets/lab-subnet", "lab-subnet"),
        ("Microsoft.Network/networkSecurityGroups/lab-nsg/securityRules/allow-ssh", "allow-ssh"),
    ] {
        let reply = rig.get(&format!("{path}?Api-Version=1")).await;
        assert_eq!((reply.status, reply.json()["name"].as_str()), (200, Some(name)), "{path}");
        assert!(reply.header("x-ms-request-id").is_some());
    }
    for (path, count) in [
        (format!("{BALANCER}/inboundnatrules"), 2),
        (format!("{BALANCER}/frontendIPConfigurations"), 1),
        ("Microsoft.Network/loadBalancers".into(), 1),
        ("Microsoft.Network/networkInterfaces".into(), 0),
        (format!("{SET}/publicIPAddresses"), 0),
    ] {
        let reply = rig.get(&format!("{path}?api-version=1")).await;
        assert_eq!(reply.json()["value"].as_array().unwrap().len(), count, "{path}");
    }
    let subscriptions = rig.get("/subscriptions?api-version=1").await.json();
    assert_eq!(subscriptions["value"][0]["subscriptionId"], rig.server.world().subscription());
}

#[tokio::test]
async fn what_is_not_there_or_not_meant_is_said_as_arm_says_it() {
    let rig = Rig::lab(1, &[]).await;
    let other = "/subscriptions/11111111-0000-0000-0000-000000000000/resourceGroups/lab-rg";
    let zero = "/subscriptions/00000000-0000-0000-0000-000000000000";
    for (path, status, code) in [
        (other.to_owned(), 404, "SubscriptionNotFound"),
        (format!("{zero}/resourceGroups/no/providers/{SET}"), 404, "ResourceGroupNotFound"),
        ("Microsoft.Compute/virtualMachineScaleSets/no".into(), 404, "ResourceNotFound"),
        (
            "Microsoft.Compute/virtualMachineScaleSets/no/virtualMachines".into(),
            404,
            "ParentResourceNotFound",
        ),
        ("Microsoft.Network/loadBalancers/no/inboundNatRules/ssh.0".into(), 404, "ParentResourceNotFound"),
        (format!("{BALANCER}/inboundNatRules/ssh.7"), 404, "ResourceNotFound"),
        (format!("{SET}/virtualMachines/7"), 404, "ResourceNotFound"),
        (format!("{SET}/virtualMachines/web_0e/instanceView"), 400, "InvalidParameter"),
        (
            format!("{zero}/providers/Microsoft.Network/locations/westeurope/operationResults/x"),
            404,
            "OperationNotFound",
        ),
        (format!("{SET}/virtualMachines?$skiptoken=zz"), 400, "InvalidSkipToken"),
        (format!("{SET}/virtualMachines?$skiptoken=28"), 400, "InvalidSkipToken"),
    ] {
        let sign = if path.contains('?') { '&' } else { '?' };
        assert_eq!(
            rig.get(&format!("{path}{sign}api-version=1")).await.error(),
            (status, code.into()),
            "{path}"
        );
    }
    assert_eq!(rig.get(SET).await.error(), (400, "MissingApiVersionParameter".into()));
    let reply = rig.post(&format!("{SET}?api-version=1"), &json!({})).await;
    assert_eq!((reply.error(), reply.header("allow")), ((405, "MethodNotAllowed".into()), Some("GET")));
    let long = "x".repeat(MAX_BODY + 1);
    let reply = rig.try_send("POST", &format!("{SET}?api-version=1"), &long).await.unwrap();
    assert_eq!(reply.status, 413);
}

#[tokio::test]
async fn pages_lead_to_the_end_and_views_are_sent_where_asked_for() {
    let rig = Rig::lab(100, &[]).await;
    for (query, has_view) in [("api-version=1", false), ("api-version=1&%24expand=instanceView", true)] {
        let mut link = Some(format!("{SET}/virtualMachines?{query}"));
        let mut sizes = Vec::new();
        let mut ids = Vec::new();
        while let Some(target) = link {
            let page = rig.get(&target).await.json();
            let items = page["value"].as_array().unwrap();
            sizes.push(items.len());
            ids.extend(items.iter().map(|item| item["instanceId"].as_str().unwrap().to_owned()));
            assert!(items.iter().all(|item| item["properties"]["instanceView"].is_object() == has_view));
            link = page["nextLink"].as_str().map(str::to_owned);
            assert!(link.iter().all(|link| link.starts_with(rig.server.endpoint()) && link.contains(query)));
        }
        assert_eq!(sizes, [40, 40, 20]);
        assert_eq!(ids, (0..100).map(|id| id.to_string()).collect::<Vec<_>>());
    }
    let view = |reply: Reply| reply.json()["properties"]["instanceView"].clone();
    let one = format!("{SET}/virtualMachines/99?api-version=1");
    assert!(view(rig.get(&one).await).is_null());
    assert!(view(rig.get(&format!("{one}&$expand=instanceview")).await).is_object());
    let status = rig.get(&format!("{SET}/virtualMachines/99/instanceView?api-version=1")).await.json();
    assert_eq!(status["statuses"][1]["code"], "PowerState/running");
}

#[tokio::test]
async fn machines_are_filtered_by_their_scale_set() {
    let machines = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines";
    let machine =
        |name: &str, set: &str| json!({"name": name, "properties": {"virtualMachineScaleSet": {"id": set}}});
    let items = vec![machine("a", "/x/SETS/one"), machine("b", "/x/sets/two"), json!({"name": "c"})];
    let rig = Rig::new(World::new("s").list(machines, items, 1), &[]).await;
    let filter = "%27virtualMachineScaleSet%2Fid%27+eq+%27%2Fx%2Fsets%2FONE%27";
    let page = rig.get(&format!("{machines}?api-version=1&$filter={filter}")).await.json();
    assert_eq!(page["value"].as_array().unwrap().len(), 1);
    assert_eq!((&page["value"][0]["name"], &page["nextLink"]), (&"a".into(), &Value::Null));
    let reply = rig.get(&format!("{machines}?api-version=1&$filter=name%20eq%20'a'")).await;
    assert_eq!(reply.error(), (400, "InvalidParameter".into()));
}

#[tokio::test]
async fn faults_strike_as_they_were_typed() {
    let faults =
        ["throttle=9,1x,loadBalancers", "unavailable=1x,lab-ip", "forbidden=lab-nsg", "html=lab-vnet"];
    let mut rig =
        Rig::lab(1, &[&faults[..], &["broken=lab/virtualMachines", "drop=lab/networkInterfaces"]].concat())
            .await;
    let balancer = format!("{BALANCER}?api-version=1");
    let reply = rig.get(&balancer).await;
    assert_eq!(
        (reply.error(), reply.header("retry-after")),
        ((429, "OperationNotAllowed".into()), Some("9"))
    );
    assert_eq!(rig.get(&balancer).await.status, 200);
    let reply = rig.get("Microsoft.Network/publicIPAddresses/lab-ip?api-version=1").await;
    assert_eq!((reply.error(), reply.header("retry-after")), ((503, "ServiceUnavailable".into()), Some("1")));
    let reply = rig.get("Microsoft.Network/networkSecurityGroups/lab-nsg?api-version=1").await;
    assert_eq!(reply.error(), (403, "AuthorizationFailed".into()));
    assert!(
        reply.body.contains("'Microsoft.Network/networkSecurityGroups/read' over scope '/subscriptions/")
    );
    let reply = rig.get("Microsoft.Network/virtualNetworks/lab-vnet?api-version=1").await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let reply = rig.get(&format!("{SET}/virtualMachines?api-version=1")).await;
    assert_eq!(reply.status, 200);
    assert!(serde_json::from_str::<Value>(&reply.body).unwrap_err().is_eof());
    assert!(rig.try_send("GET", &format!("{SET}/networkInterfaces?api-version=1"), "").await.is_none());
    assert_eq!(rig.server.requests().last().unwrap().status, None);

    rig = Rig::lab(1, &["expired=1x", "slow=50ms,loadBalancers"]).await;
    assert_eq!(rig.get(&balancer).await.error(), (401, "ExpiredAuthenticationToken".into()));
    assert_eq!(rig.get(&balancer).await.error(), (401, "ExpiredAuthenticationToken".into()));
    rig.token = rig.sign_in().await;
    let start = std::time::Instant::now();
    assert_eq!(rig.get(&balancer).await.status, 200);
    assert!(start.elapsed() >= Duration::from_millis(50));
}

#[tokio::test]
async fn requests_are_written_down() {
    let rig = Rig::lab(1, &[]).await;
    rig.get(&format!("{SET}?api-version=1&a=%20")).await;
    rig.post(&format!("{SET}/?api-version=1"), &json!({})).await;
    let request = |method: &str, path: &str, query: &str, status| AzureRequest {
        method: method.into(),
        path: path.into(),
        query: query.into(),
        status: Some(status),
    };
    let set = format!("{GROUP_PATH}/providers/{SET}");
    let sign_in = "api-version=2019-08-01&resource=https%3A%2F%2Fmanagement.azure.com%2F";
    assert_eq!(
        rig.server.requests(),
        [
            request("GET", "/msi/token", sign_in, 200),
            request("GET", &set, "api-version=1&a=%20", 200),
            request("POST", &set, "api-version=1", 405),
        ]
    );
    assert_eq!(rig.server.request_count(), 3);
}

#[tokio::test]
async fn it_ends_when_it_is_dropped() {
    let rig = Rig::lab(1, &["slow=60s"]).await;
    let address = rig.server.endpoint().strip_prefix("http://").unwrap().to_owned();
    // One connection that says nothing yet, one that waits for its answer.
    let mut open = TcpStream::connect(&address).await.unwrap();
    let mut waiting = TcpStream::connect(&address).await.unwrap();
    let request =
        format!("GET {GROUP_PATH}?api-version=1 HTTP/1.1\r\nAuthorization: Bearer {}\r\n\r\n", rig.token);
    waiting.write_all(request.as_bytes()).await.unwrap();
    drop(rig);
    assert!(TcpStream::connect(&address).await.is_err());
    for stream in [&mut open, &mut waiting] {
        let read = stream.read(&mut [0]).await;
        assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    }
}

#[tokio::test]
async fn no_bytes_end_it() {
    let rig = Rig::lab(1, &[]).await;
    for bytes in ["\0\0\r\n\r\n", "GET\r\n\r\n", "GET * HTTP/1.1\r\n\r\n", "GET // HTTP/1.1\r\nHost:\r\n\r\n"]
    {
        let address = rig.server.endpoint().strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
    for path in [
        "/subscriptions",
        "/subscriptions/%ff%00/é",
        "/subscriptions//////",
        "/subscriptions/x/y/z/é/a/b/c/d",
    ] {
        assert!(
            [200, 400, 404]
                .contains(&rig.get(&format!("{path}?api-version=%ff&$skiptoken=%ff")).await.status)
        );
    }
    assert_eq!(rig.get(&format!("{SET}?api-version=1")).await.status, 200);
}

#[test]
fn guids_have_their_version_and_variant() {
    for _ in 0..32 {
        let guid = guid();
        assert_eq!(guid.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        assert_eq!(guid.as_bytes()[14], b'4');
        assert!(b"89ab".contains(&guid.as_bytes()[19]), "{guid}");
    }
}
