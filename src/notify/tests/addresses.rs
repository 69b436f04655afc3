//! Where messages go, and where they never do.

use std::{collections::VecDeque, net::Ipv4Addr, process::Command, sync::Mutex};

use super::*;
use crate::notify::lookup::SystemLookup;

/// What a name has for addresses, answer by answer; the last one stays.
#[derive(Debug, Clone)]
struct Names(Arc<Mutex<VecDeque<Vec<IpAddr>>>>);

impl Names {
    fn of<const N: usize>(answers: [&[&str]; N]) -> Self {
        let parse = |address: &&str| address.parse().unwrap();
        let answers = answers.map(|addresses| addresses.iter().map(parse).collect());
        Self(Arc::new(Mutex::new(answers.into())))
    }
}

impl Lookup for Names {
    fn look_up(
        &self,
        _name: &str,
        _tenant_id: TenantId,
    ) -> BoxFuture<'static, Result<Vec<IpAddr>, LookupError>> {
        let mut answers = self.0.lock().unwrap();
        let next = if answers.len() > 1 {
            answers.pop_front()
        } else {
            answers.front().cloned()
        };
        async { Ok(next.unwrap()) }.boxed()
    }
}

/// A name is never looked up to its end.
#[derive(Debug)]
struct Never;

impl Lookup for Never {
    fn look_up(
        &self,
        _name: &str,
        _tenant_id: TenantId,
    ) -> BoxFuture<'static, Result<Vec<IpAddr>, LookupError>> {
        std::future::pending().boxed()
    }
}

const NAME: &str = "hooks.example.com";

#[tokio::test]
async fn the_address_that_was_judged_is_the_one_that_is_dialled() {
    let receiver = Receiver::start(Says::ok()).await;
    let notifier = notifier(TIMEOUT, Names::of([&["127.0.0.1"]]));
    let sent = send(&notifier, receiver.url_by_name(NAME)).await;
    assert_eq!(sent.error, None);
    let heard = receiver.heard().pop().unwrap();
    let host = format!("{NAME}:{}", receiver.port());
    assert_eq!(heard.headers("host"), [host]);
}

#[tokio::test]
async fn a_name_is_judged_at_each_try() {
    // One that hangs up after each answer, and one whose connection could be used again.
    for says in [
        Says::ThisAndBye(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".to_vec()),
        Says::status("204 No Content", ""),
    ] {
        let receiver = Receiver::start(says).await;
        let names = Names::of([&["127.0.0.1"], &["10.0.0.1"], &["127.0.0.1"]]);
        let notifier = notifier(TIMEOUT, names);
        let message = message(receiver.url_by_name(NAME));
        assert_eq!(notifier.send(&message, now()).await.unwrap().error, None);

        let second = notifier.send(&message, now()).await.unwrap();
        assert_eq!(code(&second), Some(SendErrorCode::NameResolution));
        assert_eq!(receiver.heard().len(), 1);

        assert_eq!(notifier.send(&message, now()).await.unwrap().error, None);
        assert_eq!(receiver.heard().len(), 2);
    }
}

/// Only Linux has more than one address of IPv4 loopback without being asked.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_name_that_turns_to_this_machine_is_not_followed_there() {
    // 127.0.0.1 is what the notifier may call, and stands for the public internet here; 127.0.0.2 is not.
    let public = Receiver::start(Says::ThisAndBye(b"HTTP/1.1 500 Oh\r\n\r\n".to_vec())).await;
    let private = (Ipv4Addr::new(127, 0, 0, 2), public.port()).into();
    let private = Receiver::start_on(private, Says::ok()).await;
    let notifier = notifier(TIMEOUT, Names::of([&["127.0.0.1"], &["127.0.0.2"]]));
    let message = message(public.url_by_name(NAME));

    let first = notifier.send(&message, now()).await.unwrap();
    assert_eq!(code(&first), Some(SendErrorCode::HttpStatus));
    for _ in 0..3 {
        let sent = notifier.send(&message, now()).await.unwrap();
        assert_eq!(code(&sent), Some(SendErrorCode::NameResolution));
        assert_eq!(sent.http_status, None);
        let detail = sent.error.unwrap().detail;
        assert!(!detail.contains("127."), "{detail}");
    }
    let literal = message_to(&private);
    let sent = notifier.send(&literal, now()).await.unwrap();
    assert_eq!(code(&sent), Some(SendErrorCode::AddressRefused));
    assert_eq!((public.connections(), private.connections()), (1, 0));
}

fn message_to(receiver: &Receiver) -> Message {
    message(receiver.url())
}

#[tokio::test]
async fn one_private_address_among_others_refuses_the_name() {
    let receiver = Receiver::start(Says::ok()).await;
    for addresses in [
        &["127.0.0.1", "10.0.0.1"][..],
        &["10.0.0.1", "127.0.0.1"],
        &["127.0.0.1", "127.0.0.1", "fe80::1"],
        &["::ffff:127.0.0.1"],
    ] {
        let notifier = notifier(TIMEOUT, Names::of([addresses]));
        let sent = send(&notifier, receiver.url_by_name(NAME)).await;
        assert_eq!(code(&sent), Some(SendErrorCode::NameResolution));
    }
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn of_several_addresses_one_that_answers_is_enough() {
    let receiver = Receiver::start(Says::ok()).await;
    // Nobody listens at the first, which is why it is there.
    let settings = NotifierSettings {
        allowed_networks: vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()],
        allowed_ports: vec![],
        timeout: TIMEOUT,
    };
    let names = Names::of([&["::1", "127.0.0.1"]]);
    let notifier = Notifier::new(&settings, Arc::new(names)).unwrap();
    let sent = send(&notifier, receiver.url_by_name(NAME)).await;
    assert_eq!(sent.error, None);
}

#[tokio::test]
async fn a_port_that_is_not_called_is_told() {
    let notifier = notifier(TIMEOUT, Names::of([&["93.184.215.14"]]));
    let message = message("http://hooks.example.com:22/".parse().unwrap());
    let sent = notifier.send(&message, now()).await.unwrap();
    assert_eq!(code(&sent), Some(SendErrorCode::PortRefused));
    let detail = sent.error.unwrap().detail;
    let told = "was not called: its URL must have one of the ports 80, 443";
    assert_eq!(detail, told);
}

#[tokio::test]
async fn private_literals_are_refused_before_anything_is_dialled() {
    let receiver = Receiver::start(Says::ok()).await;
    let settings = NotifierSettings {
        allowed_networks: vec![],
        allowed_ports: vec![receiver.port()],
        timeout: TIMEOUT,
    };
    let notifier = Notifier::new(&settings, Arc::new(NoNames)).unwrap();
    for host in [
        "127.0.0.1",
        "0x7f.1",
        "0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "localhost",
    ] {
        let sent = send(&notifier, receiver.url_by_name(host)).await;
        assert_eq!(code(&sent), Some(SendErrorCode::AddressRefused), "{host}");
    }
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn a_name_without_an_address_is_told() {
    let message = message("https://hooks.example.com/".parse().unwrap());
    let sent = notifier(TIMEOUT, NoNames).send(&message, now()).await;
    let error = sent.unwrap().error.unwrap();
    assert_eq!(error.code, SendErrorCode::NameResolution);
    // What is told of a name inside is the same, so that nobody outside learns which there are.
    for addresses in [&[][..], &["10.0.0.1"], &["93.184.215.14", "fd00::1"]] {
        let sent = notifier(TIMEOUT, Names::of([addresses]))
            .send(&message, now())
            .await;
        assert_eq!(sent.unwrap().error, Some(error.clone()), "{addresses:?}");
    }
}

#[tokio::test]
async fn the_system_knows_this_machine_by_name() {
    let receiver = Receiver::start(Says::ok()).await;
    let settings = NotifierSettings {
        allowed_networks: vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()],
        allowed_ports: vec![],
        timeout: TIMEOUT,
    };
    let lookup = Arc::new(SystemLookup::default());
    let notifier = Notifier::new(&settings, lookup).unwrap();
    let sent = send(&notifier, receiver.url_by_name("localhost")).await;
    assert_eq!(sent.error, None);
}

#[tokio::test]
async fn a_name_that_takes_forever_is_given_up_like_a_receiver() {
    let message = message("https://hooks.example.com/".parse().unwrap());
    let patience = Duration::from_millis(100);
    let sent = notifier(patience, Never).send(&message, now()).await;
    let sent = sent.unwrap();
    assert_eq!(code(&sent), Some(SendErrorCode::Timeout));
    assert!(sent.duration >= patience && sent.duration < TIMEOUT);
}

/// Names of this zone have silent servers.
fn ask_with_a_silent_zone(name: &str) -> io::Result<Vec<IpAddr>> {
    if name.ends_with(".silent") {
        std::thread::sleep(Duration::from_secs(2));
        return Err(ErrorKind::TimedOut.into());
    }
    Ok(vec![Ipv4Addr::LOCALHOST.into()])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_whose_names_have_silent_servers_keeps_nobody_from_looking_up_theirs() {
    let receiver = Receiver::start(Says::ok()).await;
    let patience = Duration::from_millis(100);
    let lookup = SystemLookup::new(4, ask_with_a_silent_zone, patience);
    let notifier = notifier(TIMEOUT, lookup);
    let tries = (0..8).map(|number| {
        let (notifier, url) = (
            notifier.clone(),
            receiver.url_by_name(&format!("{number}.silent")),
        );
        tokio::spawn(async move { notifier.send(&message(url), now()).await })
    });
    let tries: Vec<_> = tries.collect();
    let other = Message {
        tenant_id: TenantId(Uuid::from_u128(1)),
        ..message(receiver.url_by_name(NAME))
    };
    let started = std::time::Instant::now();
    assert_eq!(notifier.send(&other, now()).await.unwrap().error, None);
    assert!(started.elapsed() < Duration::from_secs(2));
    // Half of the places are for the one; what found none was not tried, and says nothing of its receiver.
    let mut looked_up = 0;
    for one in tries {
        if let Ok(sent) = one.await.unwrap() {
            assert_eq!(code(&sent), Some(SendErrorCode::NameResolution));
            looked_up += 1;
        }
    }
    assert_eq!(looked_up, 2);
}

#[tokio::test]
async fn a_tenant_s_names_are_looked_up_one_after_the_other_where_it_may_look_up_one_at_once() {
    let ask = |_: &str| {
        std::thread::sleep(Duration::from_millis(20));
        Ok(vec![Ipv4Addr::LOCALHOST.into()])
    };
    let lookup = SystemLookup::new(2, ask, Duration::from_mins(1));
    let tenant_id = TenantId(Uuid::from_u128(1));
    let names = ["a.example", "b.example", "c.example"];
    let looked_up = names.map(|name| lookup.look_up(name, tenant_id));
    for addresses in futures_util::future::join_all(looked_up).await {
        assert_eq!(addresses.unwrap(), [Ipv4Addr::LOCALHOST]);
    }
}

/// Runs a test again in a process of its own, whose environment names a proxy that does not exist.
#[test]
fn proxies_of_the_environment_are_not_asked() {
    let mut test = Command::new(std::env::current_exe().unwrap());
    test.args([
        "--exact",
        "notify::tests::addresses::the_address_that_was_judged_is_the_one_that_is_dialled",
    ]);
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        test.env(name, "http://127.0.0.1:1");
    }
    let output = test.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}
