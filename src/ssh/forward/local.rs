//! Forwards whose listener is on this side.

use std::{sync::Arc, time::Duration};

use russh::{Channel, client::Msg};
use tokio::{task::JoinSet, time::sleep};

use super::{
    board::{Counted, Lane},
    listen::Listener,
    open::NoWay,
    socks::{self, NotAsked, Talk as _},
    stream::{Cut, Near},
};
use crate::{
    forward::{
        Place, To,
        socks::{Reply, reply},
    },
    net::connect::cause,
};

/// Without descriptors, taking connections fails at once, again and again.
const PAUSE: Duration = Duration::from_millis(200);

/// Takes connections until it is dropped, and they end with it.
pub(super) async fn accept(listener: Listener, lane: Arc<Lane>) {
    let mut streams = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(near) => match lane.enter() {
                    Some(counted) => {
                        streams.spawn(carry(near, counted, lane.clone()));
                    }
                    None => near.refuse(),
                },
                Err(error) => {
                    lane.trouble("connections can't be taken", &format!(" ({})", cause(&error)));
                    sleep(PAUSE).await;
                }
            },
            // Those that have ended are let go of.
            Some(_) = streams.join_next() => {}
        }
    }
}

async fn carry(near: Near, counted: Counted, lane: Arc<Lane>) {
    let ended = match &lane.forward.to {
        To::Fixed(place) => match open(&lane, place).await {
            Ok(channel) => near.join(channel.into(), &[], &counted.slot).await,
            Err(_) => return near.refuse(),
        },
        To::Socks => match socks(near, &counted, &lane).await {
            Some(ended) => ended,
            None => return,
        },
    };
    say_cut(&lane, ended);
}

/// What ended with the session is told with its end.
pub(super) fn say_cut(lane: &Lane, ended: Result<(), Cut>) {
    if ended == Err(Cut::Slow) {
        lane.trouble(
            "a connection was cut: its program took nothing while much came in",
            ", and would have held up the others",
        );
    }
}

async fn socks(mut near: Near, counted: &Counted, lane: &Lane) -> Option<Result<(), Cut>> {
    let asked = match socks::ask(&mut near).await {
        Ok(asked) => asked,
        Err(not_asked) => {
            if let NotAsked::Refused(why) = not_asked {
                lane.trouble(why, "");
            }
            return None;
        }
    };
    let opened = open(lane, &asked.to).await;
    let outcome = opened.as_ref().map_or_else(NoWay::reply, |_| Reply::Connected);
    let said = near.say(&reply(asked.version, outcome)).await;
    let channel = opened.ok()?;
    if said.is_err() {
        let _ = channel.close().await;
        return None;
    }
    Some(near.join(channel.into(), &asked.ahead, &counted.slot).await)
}

async fn open(lane: &Lane, to: &Place) -> Result<Channel<Msg>, NoWay> {
    let Some(session) = lane.session.upgrade() else { return Err(NoWay::Lost) };
    let opened = session.open_place(to, &lane.stop).await;
    if let Err(no_way) = &opened
        && *no_way != NoWay::Lost
    {
        let detail = no_way.detail();
        let about = match lane.forward.to {
            To::Fixed(_) => detail,
            To::Socks => format!(" ({}){detail}", crate::clean::clean_line(&to.to_string())),
        };
        lane.trouble(no_way.words(), &about);
    }
    opened
}
