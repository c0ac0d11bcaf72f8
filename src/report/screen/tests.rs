//! The screen as text: what a person sees after some events and keys.

use std::time::Duration;

use proptest::prelude::*;
use ratatui::{Terminal, backend::TestBackend};

use super::*;
use crate::{
    event::{Answer, Key, ProbeEvent, ProbeOutcome, ProbeSample, ServiceOutcome, TerminalSize, Unreachable},
    natmap::{Endpoint, InstanceId},
};

fn size(columns: u32, rows: u32) -> TerminalSize {
    TerminalSize { columns, rows, ..TerminalSize::default() }
}

fn endpoint(k: usize, name: Option<&str>) -> Endpoint {
    Endpoint {
        instance: Some(InstanceId::from(k)),
        name: name.map(Into::into),
        vm_id: None,
        host: "20.1.2.3".parse().unwrap(),
        port: (50000 + k as u64).try_into().unwrap(),
    }
}

fn screen(endpoints: Vec<Endpoint>, size: TerminalSize) -> ScreenState {
    ScreenState::new(Screened { target: "prod-rg/web".into(), endpoints, palette: Palette::Plain }, size)
}

fn answered(us: u64) -> ProbeOutcome {
    ProbeOutcome::Answered(Answer::kernel(Duration::from_micros(us)))
}

const LOST: ProbeOutcome = ProbeOutcome::TimedOut { syns: Some(2) };
const REFUSED: ProbeOutcome = ProbeOutcome::Refused { after: Duration::from_micros(300) };

/// One probe a second of an endpoint, from second 0 on.
fn probe(state: &mut ScreenState, index: usize, outcomes: impl IntoIterator<Item = ProbeOutcome>) {
    for (second, outcome) in (0..).zip(outcomes) {
        let sample = ProbeSample { start: Duration::from_secs(second), ..ProbeSample::of(outcome) };
        state.probed(&ProbeEvent { index, sample });
    }
}

/// Six instances: well, well, now and then lost, silent, refused, well with a late answer.
fn six(size: TerminalSize) -> ScreenState {
    let mut state = screen((0..6).map(|k| endpoint(k, Some(&format!("web_{k}")))).collect(), size);
    probe(&mut state, 0, [20_000, 20_400, 21_000, 20_100].map(answered));
    probe(&mut state, 1, [19_000, 19_400, 30_000, 19_100].map(answered));
    probe(&mut state, 2, [answered(20_000), LOST, answered(22_000), answered(21_000)]);
    probe(&mut state, 3, [LOST, LOST]);
    probe(&mut state, 4, vec![REFUSED; 4]);
    probe(&mut state, 5, [20_000, 20_000, 250_000, 20_000].map(answered));
    state.settle(Duration::from_secs(4));
    state
}

/// What is seen, line by line without the blanks at their ends.
fn seen(state: &ScreenState) -> Vec<String> {
    let area = state.area();
    let mut terminal = Terminal::new(TestBackend::new(area.width, area.height)).unwrap();
    terminal.draw(|frame| draw(state, frame.buffer_mut())).unwrap();
    let buffer = terminal.backend().buffer();
    let rows = buffer.content().chunks(area.width.into());
    rows.map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>().trim_end().to_owned()).collect()
}

fn press(state: &mut ScreenState, keys: &str) {
    for key in keys.chars() {
        let key = match key {
            '\n' => Key::Enter,
            '\x1b' => Key::Escape,
            c => Key::Char(c),
        };
        assert_eq!(state.key(key), Effect::None, "{key:?}");
    }
    state.settle(Duration::from_secs(4));
}

/// The first word of each row of the list.
fn instances(state: &ScreenState) -> Vec<String> {
    let lines = seen(state);
    let start = lines.iter().position(|line| line.starts_with("INSTANCE")).unwrap() + 1;
    lines[start..lines.len() - 1]
        .iter()
        .filter_map(|line| line.split_whitespace().next().map(Into::into))
        .collect()
}

#[track_caller]
fn check(state: &ScreenState, expected: &str) {
    let seen = seen(state).join("\n");
    assert!(seen.trim_end() == expected.trim(), "seen:\n{seen}\n\nexpected:\n{expected}");
}

#[test]
fn a_usual_terminal() {
    check(
        &six(size(80, 24)),
        "\
vmssh probe prod-rg/web  0:04  4 of 6 answer  3 bad  22 sent
3 of 6 endpoints answered every time; answered in part: 2 (1 of 4 lost, 95 %
sure of 5 to 70 %); refused: 4 (nothing listens, or a firewall rejects: sshd, b…
INSTANCE  STATE         LAST ms  P50 ms  P99 ms  MAX ms  LOSS             RECENT
0         answered        20.10   20.10   21.00   21.00    0%               ▂▂▂▂
1         answered        19.10   19.10   30.00   30.00    0%               ▂▂▃▂
2         partly          21.00   21.00   22.00   22.00   25%               ▂x▂▂
3         timed-out     timeout       -       -       -  100%                 xx
4         refused       refused       -       -       -    0%               rrrr
5         answered        20.00   20.00   250.0   250.0    0%               ▂▂█▂













q quit  ? help  s sort: instance  f bad only  p hold  Enter details     1-6 of 6",
    );
}

#[test]
fn a_wide_terminal_has_all_columns() {
    check(
        &six(size(140, 10)),
        "\
vmssh probe prod-rg/web  0:04  4 of 6 answer  3 bad  22 sent
3 of 6 endpoints answered every time; answered in part: 2 (1 of 4 lost, 95 % sure of 5 to 70 %); refused: 4 (nothing listens, or a firewall…
INSTANCE  NAME   ENDPOINT        STATE         LAST ms  P50 ms  P99 ms  MAX ms  LOSS                    RECENT  NOTE
0         web_0  20.1.2.3:50000  answered        20.10   20.10   21.00   21.00    0%                      ▂▂▂▂  -
1         web_1  20.1.2.3:50001  answered        19.10   19.10   30.00   30.00    0%                      ▂▂▃▂  -
2         web_2  20.1.2.3:50002  partly          21.00   21.00   22.00   22.00   25%                      ▂x▂▂  -
3         web_3  20.1.2.3:50003  timed-out     timeout       -       -       -  100%                        xx  down for 4.0s
4         web_4  20.1.2.3:50004  refused       refused       -       -       -    0%                      rrrr  down for 4.0s
5         web_5  20.1.2.3:50005  answered        20.00   20.00   250.0   250.0    0%                      ▂▂█▂  -
q quit  ? help  s sort: instance  f bad only  p hold  Enter details                                                                 1-6 of 6",
    );
}

#[test]
fn a_narrow_terminal_has_what_says_which_and_how() {
    check(
        &six(size(40, 10)),
        "\
prod-rg/web  0:04  4 of 6 answer  3 bad…
3 of 6 endpoints answered every time; a…
INSTANCE  STATE         P50 ms  LOSS
0         answered       20.10    0%
1         answered       19.10    0%
2         partly         21.00   25%
3         timed-out          -  100%
4         refused            -    0%
5         answered       20.00    0%
q quit  ? help  s sort: insta…  1-6 of 6",
    );
    assert_eq!(seen(&six(size(3, 1))), ["pr…"]);
    assert_eq!(seen(&six(size(9, 3))), ["prod-rg/…", "0", "1"]);
}

#[test]
fn columns_go_in_the_order_that_the_help_says() {
    let state = six(size(80, 24));
    let mut gone = Vec::new();
    let mut before: Vec<&str> = Vec::new();
    for width in (0..200).rev() {
        let fits = state.widths.fit(width);
        let taken = fits.iter().map(|(_, width)| width + 2).sum::<usize>() - 2;
        assert!(taken <= width || fits.len() == 1, "{taken} of {width}");
        let there: Vec<_> = fits.iter().map(|(column, _)| column.header().trim_end_matches(" ms")).collect();
        gone.extend(before.iter().filter(|header| !there.contains(header)).copied());
        before = there;
    }
    let help = help::LINES.join(" ");
    assert!(
        help.contains(&gone.join(", ")) || help.replace(",  ", ", ").contains(&gone.join(", ")),
        "{gone:?}"
    );
    assert_eq!(before, ["INSTANCE"]);
}

#[test]
fn a_screen_before_the_first_probe_waits() {
    let state = screen(vec![endpoint(0, None)], size(0, 0));
    assert_eq!(seen(&state)[4], "0         waiting             -       -       -       -     -");
    assert_eq!(state.area().as_size(), (80, 24).into());
}

#[test]
fn where_no_instance_is_known_the_endpoint_says_which_one() {
    let unknown = Endpoint { instance: None, ..endpoint(7, None) };
    let lines = seen(&screen(vec![unknown], size(30, 4)));
    assert_eq!(lines[1..3], ["ENDPOINT        STATE", "20.1.2.3:50007  waiting"]);
}

#[test]
fn rows_are_sorted_with_the_worst_first_and_turned() {
    let mut state = six(size(80, 24));
    let mut order = |keys: &str| {
        press(&mut state, keys);
        (
            seen(&state)[23].split("sort: ").nth(1).unwrap().split("  ").next().unwrap().to_owned(),
            instances(&state).concat(),
        )
    };
    let both = |sort: &str, rows: &str| (sort.to_owned(), rows.to_owned());
    assert_eq!(order("S"), both("instance reversed", "543210"));
    assert_eq!(order("s"), both("state", "342015"));
    assert_eq!(order("s"), both("last", "205134"));
    assert_eq!(order("s"), both("p50", "205134"));
    // What has no time is last in either direction.
    assert_eq!(order("S"), both("p50 reversed", "150234"));
    assert_eq!(order("s"), both("p99", "512034"));
    assert_eq!(order("s"), both("max", "512034"));
    assert_eq!(order("s"), both("loss", "320145"));
    assert_eq!(order("s"), both("instance", "012345"));
}

#[test]
fn only_the_bad_ones() {
    let mut state = six(size(80, 24));
    press(&mut state, "f");
    assert_eq!(instances(&state).concat(), "234");
    press(&mut state, "f");
    assert_eq!(instances(&state).len(), 6);
    // A port that answers with a service behind it that does not is bad as well.
    let silent = ProbeSample { service: Some(ServiceOutcome::Silent), ..ProbeSample::of(answered(20_000)) };
    state.probed(&ProbeEvent { index: 0, sample: silent });
    press(&mut state, "f");
    assert_eq!(instances(&state).concat(), "0234");
    let mut well = screen(vec![endpoint(0, None)], size(80, 24));
    probe(&mut well, 0, [answered(1)]);
    press(&mut well, "f");
    assert_eq!(seen(&well)[4], "no endpoint is bad; f shows all");
}

#[test]
fn one_that_is_slow_among_its_siblings_is_bad_and_called_so() {
    let mut state = screen((0..6).map(|k| endpoint(k, None)).collect(), size(80, 24));
    for k in 0..6 {
        probe(&mut state, k, vec![answered(if k == 4 { 90_000 } else { 20_000 }); 3]);
    }
    press(&mut state, "f");
    assert_eq!(
        seen(&state)[4],
        "4         slow            90.00   90.00   90.00   90.00    0%                ▇▇▇"
    );
}

#[test]
fn a_held_picture_stays_while_the_probes_go_on() {
    let mut state = six(size(80, 24));
    press(&mut state, "p");
    let held = seen(&state);
    assert_eq!(held[23], format!("HELD: the probes go on; p shows them{}1-6 of 6", " ".repeat(36)));
    probe(&mut state, 0, vec![LOST; 5]);
    state.settle(Duration::from_secs(9));
    assert_eq!(seen(&state), held);
    assert_eq!(state.stats()[0].timed_out, 5);
    // It can be looked at from all sides.
    press(&mut state, "f");
    assert_eq!(instances(&state).concat(), "234");
    state.settle(Duration::from_secs(9));
    press(&mut state, " ");
    assert_eq!(instances(&state).concat(), "0234");
}

#[test]
fn the_end_of_a_run_is_said_and_the_clock_stands() {
    let mut state = six(size(80, 24));
    state.over(Duration::from_secs(5));
    state.settle(Duration::from_secs(500));
    let lines = seen(&state);
    assert!(lines[0].contains("  0:05  "), "{}", lines[0]);
    assert!(lines[23].starts_with("THE RUN IS OVER: q leaves and prints the table"), "{}", lines[23]);
    assert_eq!(
        seen(&{
            state.resize(size(40, 10));
            state
        })[9],
        "THE RUN IS OVER: q leaves and prints th…"
    );
}

#[test]
fn all_about_one_endpoint() {
    let mut state = six(size(80, 24));
    press(&mut state, "jjjjj\n");
    check(
        &state,
        "\
instance 5  web_5  20.1.2.3:50005

state       answered
probes      4 sent: 4 answered
loss        0% (0.0 to 49.0 % with 95 % confidence)
times       min 20.00  p50 20.00  p90 250.0  p99 250.0  max 250.0 ms
            mean 77.50  deviation 115.0  jitter 153.3 ms
clock       kernel; this machine noticed answers later: p50 0.00  p99 0.00 ms
outages     none
histogram   each row from its time to the next row's
 20.00 ms  3   75%  ██████████████████████████████████████████████████
 23.95 ms  0    0%
 28.69 ms  0    0%
 34.36 ms  0    0%
 41.16 ms  0    0%
 49.30 ms  0    0%
 59.04 ms  0    0%
 70.72 ms  0    0%
 84.70 ms  0    0%
101.45 ms  0    0%
121.51 ms  0    0%
145.53 ms  0    0%
174.31 ms  0    0%
208.77 ms  1   25%  ████████████████▋",
    );
    press(&mut state, "kk");
    let lines = seen(&state);
    assert_eq!(
        (lines[0].as_str(), lines[6].as_str()),
        ("instance 3  web_3  20.1.2.3:50003", "outages     1, the longest 1.0s; down since 4.0s ago",)
    );
    assert_eq!(lines[3], "probes      2 sent: 2 timed out, 4 SYNs unanswered");
    press(&mut state, "\x1b");
    assert_eq!(instances(&state).len(), 6);
}

#[test]
fn what_a_remote_says_is_shown_and_not_obeyed() {
    let mut state = screen(vec![endpoint(0, Some("日本\x1b[2J\u{202e}\tx"))], size(200, 10));
    let why = Unreachable { error: "no\nway\x07".into(), icmp: None };
    let said = "SSH-2.0-\x1b]0;owned\x07".to_owned();
    let foreign = ServiceOutcome::Foreign { after: Duration::from_millis(1), said };
    let sample = ProbeSample { service: Some(foreign), ..ProbeSample::of(answered(5)) };
    state.probed(&ProbeEvent { index: 0, sample });
    probe(&mut state, 0, [ProbeOutcome::Unreachable(why)]);
    state.settle(Duration::from_secs(1));
    let line = seen(&state)[3].clone();
    assert!(line.contains(r"日 本 ^[[2J\u{202e} x  20.1.2.3:50000  foreign"), "{line}");
    assert!(line.ends_with("no^Jway^G"), "{line}");
    press(&mut state, "\n");
    state.resize(size(200, 24));
    let page = seen(&state).join("\n");
    assert!(page.contains("it says     SSH-2.0-^[]0;owned^G\n"), "{page}");
    assert!(!page.contains(['\x1b', '\x07', '\u{202e}']));
    // Cut by width, not by characters: a wide one that does not fit goes.
    state.resize(size(23, 3));
    press(&mut state, "\x1b");
    assert_eq!(seen(&state)[0].trim_end(), "prod-rg/web  0:04  0 o…");
}

#[test]
fn a_thousand_instances_scroll() {
    let mut state = screen((0..1000).map(|k| endpoint(k, None)).collect(), size(80, 24));
    let shown = |state: &ScreenState| {
        let rows = instances(state);
        (rows.len(), rows[0].clone(), rows.last().unwrap().clone(), state.selected)
    };
    let is = |first: usize, selected: usize| (19, first.to_string(), (first + 18).to_string(), selected);
    assert_eq!(shown(&state), is(0, 0));
    press(&mut state, &"j".repeat(18));
    assert_eq!(shown(&state), is(0, 18));
    press(&mut state, "j");
    assert_eq!(shown(&state), is(1, 19));
    let _ = state.key(Key::PageDown);
    assert_eq!(shown(&state), is(20, 38));
    press(&mut state, "G");
    assert_eq!(shown(&state), is(981, 999));
    assert!(seen(&state)[23].ends_with("982-1000 of 1000"));
    let _ = state.key(Key::PageUp);
    assert_eq!(shown(&state), is(980, 980));
    // A larger window has no empty rows at its end.
    state.resize(size(80, 48));
    state.settle(Duration::ZERO);
    assert_eq!((instances(&state).len(), state.top), (43, 957));
    press(&mut state, "g");
    assert_eq!((state.top, state.selected), (0, 0));
}

#[test]
fn the_selected_row_is_reversed_but_for_its_bars() {
    let mut state = six(size(80, 24));
    press(&mut state, "jj");
    let mut page = Buffer::empty(state.area());
    draw(&state, &mut page);
    let reversed = |x, y| page[(x, y)].modifier.contains(ratatui::style::Modifier::REVERSED);
    assert!(reversed(0, 6) && reversed(50, 6) && !reversed(79, 6));
    assert!(!reversed(0, 5) && !reversed(0, 7));
}

#[test]
fn help_scrolls_where_it_does_not_fit_and_goes_again() {
    let mut state = six(size(80, 24));
    press(&mut state, "?");
    assert_eq!(seen(&state)[..help::LINES.len()], *help::LINES);
    assert!(help::LINES.len() <= 24 && help::LINES.iter().all(|line| words::width(line) <= 80));
    state.resize(size(80, 5));
    press(&mut state, "Gk");
    assert_eq!(seen(&state)[4], help::LINES[help::LINES.len() - 2]);
    press(&mut state, "h");
    assert_eq!(state.page, state::Page::List);
}

#[test]
fn keys_that_end_say_how() {
    let mut state = six(size(80, 24));
    for (key, effect) in [
        (Key::Char('q'), Effect::Quit),
        (Key::Escape, Effect::Quit),
        (Key::Ctrl('c'), Effect::Interrupt),
        (Key::Ctrl('z'), Effect::Suspend),
        (Key::Ctrl('l'), Effect::Repaint),
        (Key::Ctrl('x'), Effect::None),
    ] {
        assert_eq!(state.key(key), effect, "{key:?}");
    }
}

#[test]
fn a_painted_page_is_only_what_has_changed() {
    let mut state = six(size(80, 24));
    let mut painter = Painter::default();
    let whole = painter.paint(&state).unwrap();
    assert!(whole.starts_with(b"\x1b[2J"));
    assert_eq!(painter.paint(&state).unwrap(), b"");
    probe(&mut state, 0, [answered(20_400)]);
    state.settle(Duration::from_secs(5));
    let change = painter.paint(&state).unwrap();
    assert!(!change.is_empty() && change.len() < whole.len() / 2, "{} of {}", change.len(), whole.len());
    painter.forget();
    assert!(painter.paint(&state).unwrap().starts_with(b"\x1b[2J"));
}

#[test]
fn colour_is_beside_the_text_and_only_where_it_is_wanted() {
    let page = |palette| {
        let about = Screened { target: "x".into(), endpoints: vec![endpoint(0, None)], palette };
        let mut state = ScreenState::new(about, size(80, 24));
        probe(&mut state, 0, [answered(1), LOST]);
        state.settle(Duration::from_secs(2));
        Painter::default().paint(&state).unwrap()
    };
    let [colored, plain] = [Palette::Colored, Palette::Plain].map(|palette| {
        let bytes = String::from_utf8(page(palette)).unwrap();
        let mut terminal = vt100::Parser::new(24, 80, 0);
        terminal.process(bytes.as_bytes());
        let screen = terminal.screen();
        let colors = (0..24).flat_map(|y| (0..80).map(move |x| (y, x)));
        let any = colors.filter_map(|(y, x)| screen.cell(y, x)).any(|c| c.fgcolor() != vt100::Color::Default);
        (any, screen.contents())
    });
    assert_eq!((colored.0, plain.0), (true, false));
    assert_eq!(colored.1, plain.1);
}

fn any_key() -> impl Strategy<Value = Key> {
    prop_oneof![
        "[ -~]".prop_map(|text| Key::Char(text.chars().next().unwrap())),
        prop::sample::select(vec![Key::Up, Key::Down, Key::PageUp, Key::PageDown, Key::Home, Key::End]),
        prop::sample::select(vec![Key::Enter, Key::Escape, Key::Char('h'), Key::Char('f'), Key::Char('p')]),
    ]
}

fn any_outcome() -> impl Strategy<Value = ProbeOutcome> {
    prop_oneof![
        (0..1_u64 << 40).prop_map(answered),
        Just(LOST),
        Just(REFUSED),
        Just(ProbeOutcome::NotResolved("no name".into())),
        Just(ProbeOutcome::NotSent("no handle".into())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_happens_a_page_can_be_drawn(
        steps in prop::collection::vec(
            (any_key(), any_outcome(), 0..9_usize, (0..140_u32, 0..60_u32), 0..100_u64), 0..40,
        ),
        endpoints in 0..8_usize,
    ) {
        let mut state = screen((0..endpoints).map(|k| endpoint(k, Some("日本語"))).collect(), size(80, 24));
        let mut painter = Painter::default();
        for (key, outcome, index, (columns, rows), second) in steps {
            let _ = state.key(key);
            probe(&mut state, index, [outcome]);
            state.resize(size(columns, rows));
            state.settle(Duration::from_secs(second));
            painter.paint(&state).unwrap();
        }
    }
}
