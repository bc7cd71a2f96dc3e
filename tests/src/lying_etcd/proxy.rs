//! The proxy's connections: HTTP/2 on both sides, gRPC's frames in between.
//!
//! Invariants: a request goes to etcd once, as it came; each connection of a client has one of
//! its own to etcd; nothing is sent faster than the client takes it.
//! Does not: balance, retry, or report: a connection that fails is closed, as a real one would be.

use super::snapshot::{Event, Tampering};
use super::wire::Fields;
use super::{Ending, Reply, Script, Tamper};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use h2::client::SendRequest;
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Request, Response};
use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::time::Instant;

type Done = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// What both sides may send ahead: the client's own window is what limits it.
const WINDOW_BYTES: u32 = 8 << 20;
/// A flag for compression, and the length.
const FRAME_HEADER_BYTES: usize = 5;
const SNAPSHOT: &str = "Snapshot";

/// Takes connections until the runtime ends.
pub(super) async fn serve(listener: std::net::TcpListener, host: String, script: Arc<Script>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    while let Ok((socket, _)) = listener.accept().await {
        let (host, script) = (host.clone(), Arc::clone(&script));
        // How a connection ended is for the client to find out.
        tokio::spawn(async move { drop(connection(socket, &host, script).await) });
    }
}

async fn connection(socket: TcpStream, host: &str, script: Arc<Script>) -> Done {
    let upstream = TcpStream::connect(host).await?;
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(WINDOW_BYTES).initial_connection_window_size(WINDOW_BYTES);
    let (client, upstream) = builder.handshake::<_, Bytes>(upstream).await?;
    tokio::spawn(upstream);
    socket.set_nodelay(true)?;
    socket.set_zero_linger()?;
    let mut server: Connection<TcpStream, Bytes> = h2::server::handshake(socket).await?;
    let (ending, mut endings) = mpsc::unbounded_channel();
    loop {
        tokio::select! {
            accepted = server.accept() => {
                let Some(accepted) = accepted else { return Ok(()) };
                let (request, respond) = accepted?;
                let exchange = Exchange {
                    client: client.clone(),
                    script: Arc::clone(&script),
                    ending: ending.clone(),
                };
                tokio::spawn(async move { drop(exchange.answer(request, respond).await) });
            }
            Some(ending) = endings.recv() => match ending {
                Ending::GoAway => server.abrupt_shutdown(Reason::NO_ERROR),
                _ => return Ok(()),
            },
        }
    }
}

/// One request and its answer.
struct Exchange {
    client: SendRequest<Bytes>,
    script: Arc<Script>,
    ending: UnboundedSender<Ending>,
}

impl Exchange {
    async fn answer(self, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) -> Done {
        let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        let (head, mut body) = request.into_parts();
        let asked = read_all(&mut body).await?;
        let replies = self.script.replies(&method);
        for reply in &replies {
            match reply {
                Reply::Never => return pending().await,
                Reply::Refuse(code, message) => return refuse(&mut respond, *code, message),
                Reply::Edit(_) => {}
            }
        }
        let (answer, mut send) = self
            .client
            .clone()
            .ready()
            .await?
            .send_request(Request::from_parts(head, ()), false)?;
        send.send_data(asked, true)?;
        let (head, mut body) = answer.await?.into_parts();
        if body.is_end_stream() {
            respond.send_response(Response::from_parts(head, ()), true)?;
            return Ok(());
        }
        let mut out = respond.send_response(Response::from_parts(head, ()), false)?;
        if method == SNAPSHOT {
            let tampers = self.script.tampers();
            if !self.tamper(&tampers, &mut body, &mut out).await? {
                return Ok(());
            }
        } else {
            let answer = read_all(&mut body).await?;
            send_all(&mut out, edited(&answer, &replies)).await?;
        }
        let trailers = body.trailers().await?.unwrap_or_default();
        out.send_trailers(trailers)?;
        Ok(())
    }

    /// Passes the snapshot through every lie. False when the stream has ended already.
    async fn tamper(
        &self,
        tampers: &[Tamper],
        body: &mut RecvStream,
        out: &mut SendStream<Bytes>,
    ) -> Result<bool, Box<dyn std::error::Error + Send + Sync>> {
        let mut all: Vec<Tampering> = tampers.iter().cloned().map(Tampering::new).collect();
        let speed = all.iter().find_map(Tampering::bytes_per_second);
        let mut pace = Pace { speed, next: Instant::now() };
        let mut frames = BytesMut::new();
        while let Some(data) = body.data().await {
            let data = data?;
            body.flow_control().release_capacity(data.len())?;
            frames.extend_from_slice(&data);
            while let Some(message) = take_message(&mut frames) {
                let fields = Fields::parse(&message).ok_or("the answer is no message")?;
                for event in through(&mut all, fields) {
                    if !self.send(event, out, &mut pace).await? {
                        return Ok(false);
                    }
                }
            }
        }
        for event in all.iter_mut().flat_map(Tampering::end).collect::<Vec<_>>() {
            if !self.send(event, out, &mut pace).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Sends one event. False when the stream has ended with it.
    async fn send(
        &self,
        event: Event,
        out: &mut SendStream<Bytes>,
        pace: &mut Pace,
    ) -> Result<bool, Box<dyn std::error::Error + Send + Sync>> {
        match event {
            Event::Message(message) => {
                pace.wait(message.len()).await;
                send_all(out, frame(&message)).await?;
                return Ok(true);
            }
            Event::Half(bytes) => {
                let mut cut = frame(&bytes).to_vec();
                // The header promises twice as much.
                let promised = u32::try_from(2 * bytes.len())?;
                cut[1..FRAME_HEADER_BYTES].copy_from_slice(&promised.to_be_bytes());
                send_all(out, cut.into()).await?;
                out.send_trailers(status(0, ""))?;
            }
            Event::ForEver(message) => loop {
                send_all(out, frame(&message)).await?;
            },
            Event::End(Ending::Clean) => out.send_trailers(status(0, ""))?,
            Event::End(Ending::Status(code, message)) => {
                out.send_trailers(status(code, message))?;
            }
            Event::End(Ending::Stall) => pending().await,
            Event::End(Ending::Reset) => out.send_reset(Reason::INTERNAL_ERROR),
            Event::End(ending @ (Ending::GoAway | Ending::Drop)) => {
                self.ending.send(ending)?;
                // The stream must not look as if it had ended by itself before that.
                pending::<()>().await;
            }
        }
        Ok(false)
    }
}

/// What several lies in a row make of a message.
fn through(all: &mut [Tampering], fields: Fields) -> Vec<Event> {
    let Some((first, rest)) = all.split_first_mut() else {
        return vec![Event::Message(fields.encode())];
    };
    let events = first.take(fields);
    if rest.is_empty() {
        return events;
    }
    let further = |event| match event {
        Event::Message(message) => match Fields::parse(&message) {
            Some(fields) => through(rest, fields),
            None => Vec::new(),
        },
        other => vec![other],
    };
    events.into_iter().flat_map(further).collect()
}

/// Holds a stream to a speed.
struct Pace {
    speed: Option<u64>,
    next: Instant,
}

impl Pace {
    async fn wait(&mut self, bytes: usize) {
        let Some(speed) = self.speed else { return };
        tokio::time::sleep_until(self.next).await;
        let nanoseconds = bytes as u64 * 1_000_000_000 / speed.max(1);
        self.next = self.next.max(Instant::now()) + Duration::from_nanos(nanoseconds);
    }
}

fn edited(answer: &Bytes, replies: &[Reply]) -> Bytes {
    let mut frames = BytesMut::from(&answer[..]);
    let mut out = BytesMut::new();
    while let Some(message) = take_message(&mut frames) {
        let fields = replies.iter().fold(Fields::parse(&message), |fields, reply| {
            let mut fields = fields?;
            if let Reply::Edit(change) = reply {
                change(&mut fields);
            }
            Some(fields)
        });
        out.put(frame(&fields.map_or(message.to_vec(), |fields| fields.encode())));
    }
    out.freeze()
}

/// The next whole message of gRPC's frames. Nobody compresses here.
fn take_message(frames: &mut BytesMut) -> Option<Bytes> {
    let length = u32::from_be_bytes(frames.get(1..FRAME_HEADER_BYTES)?.try_into().ok()?);
    let end = FRAME_HEADER_BYTES + usize::try_from(length).ok()?;
    if frames.len() < end {
        return None;
    }
    let mut message = frames.split_to(end).freeze();
    message.advance(FRAME_HEADER_BYTES);
    Some(message)
}

fn frame(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(FRAME_HEADER_BYTES + message.len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.put_slice(message);
    frame.freeze()
}

fn status(code: u32, message: &'static str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from(code));
    trailers.insert("grpc-message", HeaderValue::from_static(message));
    trailers
}

fn refuse(respond: &mut SendResponse<Bytes>, code: u32, message: &'static str) -> Done {
    let mut answer = Response::new(());
    answer.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    answer.headers_mut().extend(status(code, message));
    respond.send_response(answer, true)?;
    Ok(())
}

async fn read_all(body: &mut RecvStream) -> Result<Bytes, h2::Error> {
    let mut all = BytesMut::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        all.extend_from_slice(&data);
    }
    Ok(all.freeze())
}

/// Sends as the client takes it.
async fn send_all(out: &mut SendStream<Bytes>, mut bytes: Bytes) -> Done {
    while !bytes.is_empty() {
        out.reserve_capacity(bytes.len());
        let room = poll_fn(|context| out.poll_capacity(context)).await;
        let room = room.ok_or("the stream was closed")??;
        out.send_data(bytes.split_to(room.min(bytes.len())), false)?;
    }
    Ok(())
}
