use super::*;

async fn evidence() -> Evidence {
    let folder = Folder::new(None, false).unwrap();
    let mut tour = Tour::start(folder, &|_| {}).await.unwrap();
    let evidence = tour.take(&|_| {}).await.unwrap();
    tour.stop().await;
    evidence
}

/// The differences found once the evidence was tampered with.
fn found(evidence: &Evidence, tamper: impl FnOnce(&mut Evidence)) -> String {
    let mut evidence = evidence.clone();
    tamper(&mut evidence);
    let summary = Summary::of(&evidence);
    let figures = Tour::figures(&evidence, &summary);
    for difference in &summary.differences {
        assert!(figures.contains(&format!("NOT AS EXPECTED: {difference}")), "{figures}");
    }
    assert!(!figures.contains("Everything came"), "{figures}");
    summary.differences.join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_goes_otherwise_is_named() {
    let mut good = evidence().await;
    // Orders of different lanes may overtake each other on their way.
    good.effects.sort_by_key(|effect| !String::from_utf8_lossy(&effect.body).contains("100000101"));
    assert_eq!(Summary::of(&good).differences, Vec::<String>::new());

    let lost = found(&good, |evidence| drop(evidence.effects.remove(0)));
    assert!(lost.contains("the ERP holds 0 sales orders for order 100000101 instead of one"), "{lost}");
    let doubled = found(&good, |evidence| {
        evidence.effects.push(evidence.effects[0].clone());
        evidence.counts.doubled = 1;
    });
    assert!(doubled.contains("holds 2 sales orders for order 100000101"), "{doubled}");
    assert!(doubled.contains("orders doubled at the ERP: 1 instead of 0"), "{doubled}");
    let other = found(&good, |evidence| evidence.effects[0].body = evidence.effects[1].body.clone());
    assert!(other.contains("grand total of order 100000101 is not what the sample says"), "{other}");
    let cent = found(&good, |evidence| {
        let body = String::from_utf8(evidence.effects[0].body.to_vec()).unwrap();
        evidence.effects[0].body = body.replacen("\"net\":\"28.50\"", "\"net\":\"28.51\"", 1).into();
    });
    assert!(cent.contains("the totals of order 100000101 do not prove"), "{cent}");
    let reason = found(&good, |evidence| evidence.open[0].code = "totals_mismatch".to_owned());
    assert!(reason.contains("order 100000111 should wait for FRN-CANDLE-XL alone"), "{reason}");
    let more = found(&good, |evidence| evidence.open.push(evidence.open[0].clone()));
    assert!(more.contains("open exceptions: 2 instead of 1"), "{more}");
    let again = found(&good, |evidence| evidence.duplicates = 0);
    assert!(again.contains("records known already: 0 instead of 1"), "{again}");
    let ledger = found(&good, |evidence| evidence.ledger.done -= 1);
    assert!(ledger.contains("the ledger does not close"), "{ledger}");
    let refused = found(&good, |evidence| evidence.sent[0].answer.as_mut().unwrap().status = 503);
    assert!(refused.contains("was answered 503"), "{refused}");
}

#[test]
fn a_folder_is_private_and_goes_unless_it_is_to_be_kept() {
    use std::os::unix::fs::PermissionsExt as _;
    let parent = tempfile::tempdir().unwrap();
    let paths = [false, true].map(|kept| {
        let folder = Folder::new(Some(parent.path()), kept).unwrap();
        assert_eq!(std::fs::metadata(folder.path()).unwrap().permissions().mode() & 0o777, 0o700);
        folder.path().to_owned()
    });
    assert_eq!(paths.map(|path| path.exists()), [false, true]);
}
