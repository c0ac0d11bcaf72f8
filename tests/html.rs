//! `probe --html`: the program against loopback, and its page in a real browser.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "support/pty.rs"]
mod pty;
#[path = "support/vmssh.rs"]
mod vmssh_binary;

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::process::Signal;
use serde_json::json;
use socket2::{Domain, Socket, Type};
use vmssh_binary::{Surroundings, mode};

/// The browser that `scripts/test` installs.
const BROWSER: &str = "chromium-headless-shell";

/// Ports, and the list of them as az prints it.
struct Ports {
    _refusing: Vec<Socket>,
    listeners: Vec<TcpListener>,
    target: String,
}

/// So many ports, of which these refuse and the others answer.
fn ports(here: &Surroundings, count: usize, refuse: &[usize]) -> Ports {
    let (mut listeners, mut refusing) = (Vec::new(), Vec::new());
    let mut lines = serde_json::Map::new();
    for instance in 0..count {
        // Bound, so that nobody else gets the port.
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        lines.insert(format!("instance {instance}"), json!(address.to_string()));
        if refuse.contains(&instance) {
            refusing.push(socket);
        } else {
            socket.listen(128).unwrap();
            listeners.push(socket.into());
        }
    }
    let path = here.file("ports.json", serde_json::to_vec(&lines).unwrap());
    Ports { _refusing: refusing, listeners, target: format!("@{path}") }
}

/// A page of so many instances, of which the second refuses.
fn page(here: &Surroundings, count: usize, options: &[&str]) -> PathBuf {
    let ports = ports(here, count, &[1]);
    let path = here.home.path().join("report.html");
    let probe = ["probe", &ports.target, "--html", "report.html", "-o", "json"];
    let ran = here.run(&[&probe, options].concat());
    assert!(ran.expect_status(1).stdout.contains("vmssh.probe/1"));
    path
}

/// What the browser makes of a page that has nothing wrong in it.
fn browse(page: &Path, options: &[&str]) -> String {
    let (stdout, stderr) = browse_any(page, options);
    // What a page does wrong (refused by its policy, thrown by its script) is said on the console.
    assert!(!stderr.contains("CONSOLE"), "{stderr}");
    stdout
}

/// What the browser prints of a page, and what it says about it.
fn browse_any(page: &Path, options: &[&str]) -> (String, String) {
    // A profile of its own, as several run at once.
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new(BROWSER)
        .args(["--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr", "--v=0"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(options)
        .arg(format!("file://{}", page.display()))
        .current_dir(profile.path())
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{BROWSER} is needed, scripts/test installs it: {error}"));
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{stderr}");
    (stdout, stderr)
}

/// The page as the browser shows it, in a window of this size: width, and red, green and blue of each pixel.
fn screenshot(page: &Path, scheme: Scheme, width: usize, height: usize) -> Picture {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("page.png");
    browse(
        page,
        &[
            &format!("--blink-settings=preferredColorScheme={}", scheme as u8),
            &format!("--window-size={width},{height}"),
            &format!("--screenshot={}", path.display()),
        ],
    );
    let decoder = png::Decoder::new(std::io::BufReader::new(fs::File::open(&path).unwrap()));
    let mut reader = decoder.read_info().unwrap();
    let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut bytes).unwrap();
    let channels = info.color_type.samples();
    assert!(channels >= 3 && info.bit_depth == png::BitDepth::Eight, "{info:?}");
    assert_eq!(info.width as usize, width);
    let pixels = bytes[..info.buffer_size()].chunks(channels).map(|p| [p[0], p[1], p[2]]).collect();
    Picture { pixels }
}

/// Numbers as the browser's setting has them.
#[derive(Clone, Copy)]
enum Scheme {
    Dark = 0,
    Light = 1,
}

#[derive(PartialEq)]
struct Picture {
    pixels: Vec<[u8; 3]>,
}

impl Picture {
    /// The colour of its edge and of much of it, by its brightest part.
    fn paper(&self) -> u8 {
        let corner = self.pixels[0];
        let same = self.pixels.iter().filter(|pixel| **pixel == corner).count();
        assert!(same * 10 > self.pixels.len(), "{same} of {}", self.pixels.len());
        *corner.iter().max().unwrap()
    }

    /// How many pixels are near a colour.
    fn near(&self, red: u8, green: u8, blue: u8) -> usize {
        let near = |pixel: &&[u8; 3]| pixel.iter().zip([red, green, blue]).all(|(a, b)| a.abs_diff(b) < 12);
        self.pixels.iter().filter(near).count()
    }
}

/// How often a text is in another.
fn count(text: &str, part: &str) -> usize {
    text.matches(part).count()
}

#[test]
fn the_page_is_right_in_a_browser_at_three_instances() {
    let here = Surroundings::new();
    let page = page(&here, 3, &["-n", "3", "-i", "20ms"]);
    let dom = browse(&page, &["--dump-dom"]);
    // Set by the script, which the page's policy lets run.
    assert!(dom.contains(r#"data-script="ran""#) && dom.contains(r#"data-rows="3""#), "{dom}");
    assert!(dom.contains("2 of 3 endpoints answered; refused: 1"), "{dom}");
    assert!(dom.contains(r#"<button type="button">p50 ms</button>"#), "{dom}");
    assert_eq!(count(&dom, r#"class="one""#), 2 + 1, "two curves and their legend: {dom}");

    let light = screenshot(&page, Scheme::Light, 1200, 900);
    let dark = screenshot(&page, Scheme::Dark, 1200, 900);
    assert!(light.paper() > 240 && dark.paper() < 40, "{} {}", light.paper(), dark.paper());
    // The row that was refused: --refused of the style sheet, in each of the two.
    assert!(light.near(0xf0, 0xb0, 0x30) > 1000, "{}", light.near(0xf0, 0xb0, 0x30));
    assert!(dark.near(0xd9, 0x9a, 0x1c) > 1000, "{}", dark.near(0xd9, 0x9a, 0x1c));
}

#[test]
fn the_page_is_right_in_a_browser_at_a_thousand_instances() {
    let here = Surroundings::new();
    let page = page(&here, 1000, &["-n", "2", "-i", "0", "-w", "0"]);
    let size = fs::metadata(&page).unwrap().len();
    assert!(size < 4_000_000, "{size} bytes");
    let dom = browse(&page, &["--dump-dom"]);
    assert!(dom.contains(r#"data-script="ran""#) && dom.contains(r#"data-rows="1000""#));
    assert!(dom.contains("999 of 1000 endpoints answered"));
    assert!(dom.contains("nine of ten instances") && !dom.contains(r#"class="one""#));

    // So high that of the heat map, which is 2,000 pixels, the start is seen and the legend is not.
    let light = screenshot(&page, Scheme::Light, 1200, 1200);
    let dark = screenshot(&page, Scheme::Dark, 1200, 1200);
    assert!(light.paper() > 240 && dark.paper() < 40, "{} {}", light.paper(), dark.paper());
    // The one row that was refused: two pixels high, and a column wide at least.
    assert!(light.near(0xf0, 0xb0, 0x30) > 3 && dark.near(0xd9, 0x9a, 0x1c) > 3);
}

#[test]
fn its_script_sorts_and_its_policy_lets_no_other_run() {
    let here = Surroundings::new();
    let page = page(&here, 3, &["-n", "2", "-i", "0"]);
    let html = fs::read_to_string(&page).unwrap();
    let foreign =
        "<script>document.querySelectorAll('th button')[2].click(); document.title = 'other'</script>";
    let with_foreign = html.replace("</body>", &format!("{foreign}</body>"));

    let refused = here.file("refused.html", &with_foreign);
    let (dom, console) = browse_any(Path::new(&refused), &["--dump-dom"]);
    assert!(console.contains("Content Security Policy"), "{console}");
    assert!(!dom.contains("<title>other") && dom.contains(r#"data-script="ran""#), "{dom}");

    // The same script on a page without a policy sorts by state: the refused one is the last.
    let policy = html.split_once(r#"<meta http-equiv="Content-Security-Policy""#).unwrap().1;
    let policy = policy.split_once('>').unwrap().0;
    let policy = format!(r#"<meta http-equiv="Content-Security-Policy"{policy}>"#);
    let free = here.file("free.html", with_foreign.replace(&policy, ""));
    let dom = browse(Path::new(&free), &["--dump-dom"]);
    let rows: Vec<_> = dom.split(r#"<th scope="row">"#).skip(1).map(|row| &row[..1]).collect();
    assert_eq!(rows, ["0", "2", "1"], "{dom}");
    assert!(dom.contains(r#"aria-sort="ascending""#) && dom.contains("<title>other"), "{dom}");
}

#[test]
fn a_page_is_whole_without_its_script() {
    let here = Surroundings::new();
    let page = page(&here, 3, &["-n", "2", "-i", "0"]);
    let html = fs::read_to_string(&page).unwrap();
    let (start, rest) = html.split_once("<script>").unwrap();
    let (_, end) = rest.split_once("</script>").unwrap();
    let bare = here.file("bare.html", format!("{start}{end}"));
    let with = screenshot(&page, Scheme::Light, 1000, 1600);
    let without = screenshot(Path::new(&bare), Scheme::Light, 1000, 1600);
    assert!(with == without, "the script changed what is seen");
}

#[test]
fn a_page_that_cant_be_written_is_told_before_anything_is_probed() {
    let here = Surroundings::new();
    let Ports { listeners, target, .. } = ports(&here, 1, &[]);
    let ran = here.run(&["probe", &target, "--html", "no/such/folder.html"]).expect_status(2);
    assert!(ran.stderr.contains("can't write no/such/folder.html"), "{}", ran.stderr);
    assert!(ran.stderr.contains("hint: nothing was probed"), "{}", ran.stderr);
    assert_eq!(ran.stdout, "");
    let ran = here.run(&["probe", &target, "--html", "-"]).expect_status(2);
    assert!(ran.stderr.contains("the page goes to a file"), "{}", ran.stderr);
    // A folder is no file.
    here.run(&["probe", &target, "--html", "."]).expect_status(2);
    listeners[0].set_nonblocking(true).unwrap();
    assert!(listeners[0].accept().is_err());
}

#[test]
fn a_page_replaces_another_through_a_link() {
    let here = Surroundings::new();
    let Ports { listeners: _listeners, target, .. } = ports(&here, 2, &[]);
    let old = here.file("old.html", "old");
    let link = here.home.path().join("link.html");
    std::os::unix::fs::symlink(&old, &link).unwrap();
    here.run(&["probe", &target, "-n", "1", "--html", "link.html"]).expect_status(0);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(fs::read_to_string(&old).unwrap().contains("both endpoints answered"));
    assert_eq!(mode(Path::new(&old)) & 0o600, 0o600);
    here.run(&["probe", &target, "-n", "1", "--html", "/dev/null"]).expect_status(0);
}

#[test]
fn a_run_that_is_stopped_has_a_page_too() {
    let here = Surroundings::new();
    let Ports { listeners: _listeners, target, .. } = ports(&here, 2, &[]);
    let page = here.home.path().join("report.html");
    let mut terminal = pty::Terminal::run(
        pty_process::blocking::Command::new(env!("CARGO_BIN_EXE_vmssh"))
            .args(["probe", &target, "-n", "1h", "-i", "10ms", "-w", "0", "--html", page.to_str().unwrap()])
            .env_clear()
            .env("HOME", here.home.path())
            .env("TERM", "xterm"),
    );
    // Said of the first probes.
    terminal.see("answered");
    terminal.signal(Signal::INT);
    assert_eq!(terminal.end().code(), Some(130), "{}", terminal.screen());
    let html = fs::read_to_string(page).unwrap();
    assert!(html.contains("<strong>interrupted</strong> after"), "{html}");
    assert!(html.contains("both endpoints answered"), "{html}");
}
