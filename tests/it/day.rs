//! A day at the shop: the real binary between the stand-in Commerce with its events gateway and the stand-in ERP. Pushes
//! come twice, out of order or never, keys rotate, Commerce is in maintenance, and the router is away for two hours.

use std::time::{Duration, Instant};

use crossdock::demo::commerce::story::{Act, Player, Scene, tell};
use crossdock::demo::commerce::{GatewaySettings, Settings, StandIn};
use crossdock::demo::erp::StandInErp;
use serde_json::Value;

use crate::support::front::Front;
use crate::support::process::{Serve, token};
use crate::support::shop::beside;
use crate::support::{Site, orders};

/// The whole day is played with 20,000.
const ORDERS: usize = 300;
/// How long an order of the story takes, so that a day of many orders is a longer one.
const PACE: Duration = Duration::from_millis(6);
const DAY_MINUTES: u32 = 24 * 60;
/// Longer than this nothing may be missing once the day is over.
const PATIENCE: Duration = Duration::from_mins(5);

struct Day {
    shop: StandIn,
    erp: StandInErp,
    site: Site,
    front: Front,
    http: reqwest::Client,
}

impl Day {
    async fn begins(minute: Duration) -> Day {
        let gateway = GatewaySettings { minute, ..GatewaySettings::default() };
        let shop = StandIn::start(Settings { gateway, ..Settings::default() }).await.unwrap();
        let erp = StandInErp::start().await.unwrap();
        let site = Site::new(&erp.url(), |text| {
            let text = beside(&shop, &text).replace("every = \"22h\"", "every = \"1s\"");
            text.replace("every = \"23h\"", "every = \"5s\"")
        });
        Day { shop, erp, site, front: Front::start().await, http: reqwest::Client::new() }
    }

    fn serves(&self) -> Serve {
        let serve = tokio::task::block_in_place(|| Serve::start(&self.site));
        self.front.leads_to(Some(serve.address));
        serve
    }

    fn dies(&self, serve: Serve) {
        self.front.leads_to(None);
        tokio::task::block_in_place(|| serve.kill());
    }

    async fn sees(&self, serve: &Serve, token: &str, path: &str) -> Value {
        let request = self.http.get(format!("http://{}{path}", serve.address)).bearer_auth(token);
        serde_json::from_slice(&request.send().await.unwrap().bytes().await.unwrap()).unwrap()
    }

    async fn metric(&self, serve: &Serve, line: &str) -> u64 {
        let text = self.http.get(format!("http://{}/metrics", serve.address)).send().await.unwrap();
        let text = text.text().await.unwrap();
        let row = text.lines().find_map(|row| row.strip_prefix(line)?.strip_prefix(' ').map(str::to_owned));
        row.map_or(0, |value| value.parse().unwrap())
    }

    /// Waits until as many orders are at the ERP; how long that took.
    async fn complete(&self, orders: usize) -> Duration {
        let begun = Instant::now();
        while self.erp.effects().len() < orders {
            assert!(begun.elapsed() < PATIENCE, "{} of {orders} orders are at the ERP", self.erp.effects().len());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        begun.elapsed()
    }
}

/// The story without what Adobe does to a registration, which is a part of its own. What is rare stays rare however
/// many orders there are: each of the two keys is replaced once, and Commerce fails a few times.
fn story(count: usize) -> Vec<Scene> {
    let mut placed = 0;
    let mut left = [2, 3, 3];
    let scenes = tell(20, count * 2, PACE * 2).into_iter();
    let scenes = scenes.filter(|scene| !matches!(scene.act, Act::Enable | Act::Disable));
    let rarely = scenes.filter(|scene| {
        let kind = match scene.act {
            Act::RotateKeys => 0,
            Act::RestOutage(_) => 1,
            Act::RestLimits(_) => 2,
            _ => return true,
        };
        let kept = left[kind] > 0;
        left[kind] -= usize::from(kept);
        kept
    });
    rarely
        .take_while(|scene| {
            let more = placed < count;
            placed += usize::from(matches!(scene.act, Act::Place | Act::PlaceUnheard | Act::PlaceDoubled));
            more
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_order_of_a_day_reaches_the_erp_once_whatever_happened_to_its_pushes() {
    let count =
        std::env::var("CROSSDOCK_DAY_ORDERS").map_or(ORDERS, |count| count.parse().expect("a number of orders"));
    let story = story(count);
    let length: Duration = story.iter().map(|scene| scene.after).sum();
    let minute = length / DAY_MINUTES;
    let day = Day::begins(minute).await;
    let serve = day.serves();
    let token = token(&day.site, "admin");

    let player = Player::new(&day.shop, &day.front.url("/in/adobe"), |number| {
        orders::rest(&format!("{:09}", number + 1), "24-WG085", 1).to_string()
    });
    let began = Instant::now();
    let (placed, serve) = tokio::join!(player.play(&story), async {
        // At ten in the morning the router dies, and is back at noon.
        tokio::time::sleep(minute * 60 * 10).await;
        day.dies(serve);
        tokio::time::sleep(minute * 60 * 2).await;
        day.serves()
    });
    let placed = placed.unwrap();
    let lasted = began.elapsed();

    // In the evening Adobe disables the registration, and somebody makes it anew.
    let gateway = day.shop.gateway();
    gateway.disable();
    let mut unheard = Vec::new();
    for number in 0..5 {
        let order = orders::rest(&format!("{:09}", 900_000_000 + number), "24-WG085", 1);
        let (id, _) = day.shop.place(order.to_string().as_bytes()).unwrap();
        gateway.publish(&[gateway.order_event(id, true).unwrap()]);
        unheard.push(id);
    }
    gateway.register(&day.front.url("/in/adobe")).await.unwrap();

    let all = placed.len() + unheard.len();
    let closed = day.complete(all).await;
    let pushes = gateway.pushes();
    println!(
        "{all} orders in a day of {:.1} s; the last gap was closed {:.1} s after its end; {} pushes tried, {} delivered, \
         {} withheld; {} reads, {} events of the journal, {} orders found by searching",
        lasted.as_secs_f64(),
        closed.as_secs_f64(),
        pushes.attempts,
        pushes.delivered,
        pushes.withheld,
        day.metric(&serve, "reads_total{system=\"acme\",outcome=\"read\"}").await,
        day.metric(&serve, "journal_events_total{origin=\"adobe\"}").await,
        day.metric(&serve, "sweep_found_total{system=\"acme\"}").await,
    );
    once_each_and_up_to_date(&day, &serve, &token, &[placed, unheard].concat()).await;
    tokio::task::block_in_place(|| serve.terminate());
}

/// One sales order each, the ledger closed, and of every order its newest state known here.
async fn once_each_and_up_to_date(day: &Day, serve: &Serve, token: &str, placed: &[u64]) {
    let begun = Instant::now();
    let mut behind: Vec<u64> = placed.to_vec();
    while !behind.is_empty() {
        let mut still = Vec::new();
        for id in behind {
            let order = day.shop.order(id).unwrap();
            let number = order.get("increment_id").and_then(|text| text.as_text()).unwrap().to_owned();
            let newest = order.get("status").and_then(|text| text.as_text()).unwrap().to_owned();
            let told = day.sees(serve, token, &format!("/api/v1/orders/{number}")).await;
            assert_eq!(told["state"], "delivered", "{told}");
            if told["commerce_status"] != *newest {
                still.push(id);
            }
        }
        behind = still;
        assert!(begun.elapsed() < PATIENCE, "{} orders stay behind: {behind:?}", behind.len());
    }
    let effects = day.erp.effects();
    assert_eq!(effects.len(), placed.len(), "the ERP holds each order once");
    assert!(effects.iter().all(|effect| effect.applied == 1));
    assert_eq!(day.erp.counts().doubled, 0);
    let ledger = day.sees(serve, token, "/api/v1/ledger").await;
    assert_eq!(ledger["exception"], 0, "{ledger}");
}
