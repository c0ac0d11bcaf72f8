//! SSH servers that go so far and then say nothing more, on loopback.

use std::{future::pending, sync::Arc, time::Duration};

use russh::{
    Channel, ChannelId,
    keys::{Algorithm, PrivateKey},
    server::{Auth, ChannelOpenHandle, Config, Handler, Msg, Session, VerifiedPublicKey, run_stream},
};
use tokio::{io::AsyncWriteExt as _, net::TcpListener};

/// Where a server stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HangsIn {
    Banner,
    KeyExchange,
    Auth,
    Channel,
    Command,
}

/// Starts a server that serves until the runtime ends; its port.
pub(crate) async fn start(hangs_in: HangsIn) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = Arc::new(Config {
        keys: vec![PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap()],
        auth_rejection_time_initial: Some(Duration::ZERO),
        ..Config::default()
    });
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let config = config.clone();
            tokio::spawn(async move {
                match hangs_in {
                    HangsIn::Banner => pending().await,
                    HangsIn::KeyExchange => {
                        stream.write_all(b"SSH-2.0-hanging\r\n").await.unwrap();
                        pending().await
                    }
                    _ => {
                        if let Ok(session) = run_stream(config, stream, Server(hangs_in)).await {
                            let _ = session.await;
                        }
                    }
                }
            });
        }
    });
    port
}

struct Server(HangsIn);

impl Handler for Server {
    type Error = russh::Error;

    async fn auth_publickey(&mut self, _: &str, _: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        if self.0 == HangsIn::Auth { pending().await } else { Ok(Auth::Accept) }
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        if self.0 == HangsIn::Channel {
            return pending().await;
        }
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        _: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(id)
    }
}
