//! State to page, with no changes to the state.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Color, Modifier, Style},
};

use super::{
    columns::{Column, GAP},
    details, help,
    order::Direction,
    recent::Mark,
    state::{Bands, Filter, Page, Palette, ScreenState},
    words,
};
use crate::stats::{ProbeStats, State};

/// Draws the page that the state shows. Only the rows that are seen are made.
pub fn draw(state: &ScreenState, page: &mut Buffer) {
    let area = page.area;
    match state.page {
        Page::List => list(state, page),
        Page::Details(place) => {
            let Some(names) = state.names.get(place) else { return };
            let lines = details::lines(place, names, state.figures(), usize::from(area.height));
            text(page, lines.iter().map(String::as_str));
            notice(state, page);
        }
        Page::Help(top) => text(page, help::LINES.iter().skip(top).copied()),
    }
}

/// Lines as they are, the first one as a heading.
fn text<'a>(page: &mut Buffer, lines: impl Iterator<Item = &'a str>) {
    let area = page.area;
    for (row, line) in (0..area.height).zip(lines) {
        let style = if row == 0 { bold() } else { Style::new() };
        put(page, Rect { y: row, height: 1, ..area }, line, style);
    }
}

/// On the last line of a page without a footer, where the picture does not go on.
fn notice(state: &ScreenState, page: &mut Buffer) {
    let area = page.area;
    if let Some(what) = standing(state)
        && area.height > 1
    {
        put(page, Rect { y: area.height - 1, height: 1, ..area }, &pad(what, area.width), reversed());
    }
}

/// Why the picture stands still.
fn standing(state: &ScreenState) -> Option<&'static str> {
    if state.is_held() {
        return Some("HELD: the probes go on; p shows them");
    }
    state.is_over().then_some("THE RUN IS OVER: q leaves and prints the table")
}

fn list(state: &ScreenState, page: &mut Buffer) {
    let area = page.area;
    let bands = Bands::of(area.height);
    let line = |y: u16| Rect { y, height: 1, ..area };
    if bands.title > 0 {
        put(page, line(0), &title(state), bold());
    }
    let verdict = words::wrap(&state.figures().judged.verdict, area.width.into(), bands.verdict.into());
    for (y, text) in (bands.title..).zip(verdict) {
        put(page, line(y), &text, Style::new());
    }
    let columns = state.widths.fit(area.width.into());
    let mut y = bands.title + bands.verdict;
    if bands.header > 0 {
        header(page, line(y), &columns);
        y += bands.header;
    }
    let shown = state.order.iter().enumerate().skip(state.top).take(state.rows_shown().into());
    for (at, place) in shown {
        row(state, page, line(y), &columns, *place);
        if at == state.selected {
            select(page, line(y), &columns);
        }
        y += 1;
    }
    if state.order.is_empty() && state.rows_shown() > 0 {
        put(page, line(y), "no endpoint is bad; f shows all", Style::new());
    }
    if bands.footer > 0 {
        footer(state, page, line(area.height - 1));
    }
}

/// On a narrow screen without the program's name.
fn title(state: &ScreenState) -> String {
    let figures = state.figures();
    let sent: u64 = figures.stats.iter().map(ProbeStats::sent).sum();
    let (well, bad) = figures.counts();
    let title = format!(
        "{}  {}  {well} of {} answer  {bad} bad  {} sent",
        state.target,
        words::clock(figures.now),
        state.names.len(),
        words::count(sent),
    );
    let whole = format!("vmssh probe {title}");
    if words::width(&whole) <= usize::from(state.area().width) { whole } else { title }
}

fn header(page: &mut Buffer, line: Rect, columns: &[(Column, usize)]) {
    each(line, columns, |place, column, width| {
        put(page, place, &aligned(column, column.header(), width), bold());
    });
}

fn row(state: &ScreenState, page: &mut Buffer, line: Rect, columns: &[(Column, usize)], place: usize) {
    each(line, columns, |cell, column, width| {
        if column == Column::Recent {
            return recent(state, page, cell, place);
        }
        let style = match column {
            Column::State => state_style(state, place),
            _ => Style::new(),
        };
        put(page, cell, &aligned(column, &words::cut(&content(state, column, place), width), width), style);
    });
}

/// Marks a row. Not its bars, which would hang from above.
fn select(page: &mut Buffer, line: Rect, columns: &[(Column, usize)]) {
    each(line, columns, |cell, column, _| {
        if column != Column::Recent {
            page.set_style(Rect { width: cell.width + GAP as u16, ..cell }.intersection(line), reversed());
        }
    });
}

/// Calls for each column with its place on the line.
fn each(line: Rect, columns: &[(Column, usize)], mut draw: impl FnMut(Rect, Column, usize)) {
    let mut x = line.x;
    for (column, width) in columns {
        let columns = u16::try_from(*width).unwrap_or(u16::MAX).min(line.right().saturating_sub(x));
        draw(Rect { x, width: columns, ..line }, *column, *width);
        x = x.saturating_add(columns).saturating_add(GAP as u16);
    }
}

fn aligned(column: Column, text: &str, width: usize) -> String {
    let blanks = if column.is_right() { width.saturating_sub(words::width(text)) } else { 0 };
    format!("{}{text}", " ".repeat(blanks))
}

fn content(state: &ScreenState, column: Column, place: usize) -> String {
    let figures = state.figures();
    let (Some(names), Some(stats), Some(recent)) =
        (state.names.get(place), figures.stats.get(place), figures.recent.get(place))
    else {
        return String::new();
    };
    let percentile = |percent| stats.rtts.percentile_ms(percent).map(words::ms);
    let text = match column {
        Column::Instance => names.instance.clone(),
        Column::Name => names.name.clone(),
        Column::Endpoint => Some(names.endpoint.clone()),
        Column::State => Some(figures.state_words(place)),
        Column::Last => Some(recent.last_words()),
        Column::P50 => percentile(50),
        Column::P99 => percentile(99),
        Column::Max => (stats.rtts.count() > 0).then(|| words::us(stats.rtts.sums().max_us)),
        Column::Loss => stats.loss_pct().map(words::percent),
        // Drawn, not written.
        Column::Recent => None,
        Column::Note => Some(note(state, place, stats)),
    };
    text.filter(|text| !text.is_empty()).unwrap_or_else(|| "-".into())
}

/// What the other columns do not say.
fn note(state: &ScreenState, place: usize, stats: &ProbeStats) -> String {
    let figures = state.figures();
    let mut notes = Vec::new();
    if let Some(since) = stats.outages.down_since {
        notes.push(format!("down for {}", words::lapse(figures.now.saturating_sub(since))));
    }
    // Where nothing was lost the state has said so.
    if figures.is_slow(place) && State::of(stats) != State::Answered {
        notes.push("slow".into());
    }
    let failed = stats.service.asked().saturating_sub(stats.service.answered);
    let counts =
        [(failed, "service failed"), (stats.retransmitted, "second SYN"), (stats.not_sent, "not sent")];
    notes.extend(counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")));
    notes.extend(stats.error.as_deref().map(words::tidy));
    notes.join(", ")
}

/// The last probes, the latest on the right.
fn recent(state: &ScreenState, page: &mut Buffer, cell: Rect, place: usize) {
    let figures = state.figures();
    let Some(recent) = figures.recent.get(place) else { return };
    let marks: Vec<Mark> = recent.last(cell.width.into()).collect();
    let first = cell.right().saturating_sub(u16::try_from(marks.len()).unwrap_or(cell.width));
    for (x, mark) in (first..cell.right()).zip(marks) {
        let style = match mark {
            Mark::Time(_) => colored(state, Color::Cyan),
            Mark::SecondSyn => colored(state, Color::Yellow),
            _ => colored(state, Color::Red),
        };
        let mark = mark.char(figures.judged.usual).to_string();
        put(page, Rect { x, width: 1, ..cell }, &mark, style);
    }
}

fn footer(state: &ScreenState, page: &mut Buffer, line: Rect) {
    let width = usize::from(line.width);
    let (sort, direction) = state.sort;
    let turned = match direction {
        Direction::Natural => "",
        Direction::Reversed => " reversed",
    };
    let filter = match state.filter {
        Filter::All => "f bad only",
        Filter::Bad => "f all",
    };
    let keys = format!("q quit  ? help  s sort: {sort}{turned}  {filter}  p hold  Enter details");
    let left = standing(state).map_or(keys, Into::into);
    let first = state.top + 1;
    let last = (state.top + usize::from(state.rows_shown())).min(state.order.len());
    let right = match state.order.len() {
        0 => String::new(),
        all => format!("{first}-{last} of {all}"),
    };
    let room = width.saturating_sub(right.len() + GAP);
    // What stands still is more than where one is.
    let text = if room < words::width(&left) && standing(state).is_some() {
        left
    } else {
        let left = words::cut(&left, room);
        let blanks = width.saturating_sub(words::width(&left) + right.len());
        format!("{left}{}{right}", " ".repeat(blanks))
    };
    put(page, line, &pad(&text, line.width), reversed());
}

/// The text with blanks behind it: a bar over the whole line.
fn pad(text: &str, width: u16) -> String {
    format!("{text}{}", " ".repeat(usize::from(width).saturating_sub(words::width(text))))
}

/// A text cut to its place.
fn put(page: &mut Buffer, place: Rect, text: &str, style: Style) {
    let place = place.intersection(page.area);
    if !place.is_empty() {
        let width = usize::from(place.width);
        page.set_stringn(place.x, place.y, words::cut(text, width), width, style);
    }
}

fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

fn reversed() -> Style {
    Style::new().add_modifier(Modifier::REVERSED)
}

fn colored(state: &ScreenState, color: Color) -> Style {
    match state.palette {
        Palette::Colored => Style::new().fg(color),
        Palette::Plain => Style::new(),
    }
}

fn state_style(state: &ScreenState, place: usize) -> Style {
    let figures = state.figures();
    let Some(stats) = figures.stats.get(place) else { return Style::new() };
    match State::of(stats) {
        State::NotProbed => Style::new(),
        State::Answered if !state.is_bad(place) => colored(state, Color::Green),
        State::Answered => colored(state, Color::Yellow),
        State::Partly if stats.outages.down_since.is_none() => colored(state, Color::Yellow),
        State::NotResolved | State::NotSent => colored(state, Color::Magenta),
        _ => colored(state, Color::Red),
    }
}
