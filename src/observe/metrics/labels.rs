//! Labels of metrics: configured names and words from our code, never an order number, a SKU or what a buyer typed.

use prometheus_client::encoding::EncodeLabelSet;

/// `{origin=…}`
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(in crate::observe) struct OfOrigin {
    pub origin: String,
}

/// `{origin=…, reason=…}`
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(in crate::observe) struct OfRefusal {
    pub origin: String,
    pub reason: &'static str,
}

/// `{destination=…}`
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(in crate::observe) struct OfDestination {
    pub destination: String,
}

/// `{destination=…, outcome=…}`
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(in crate::observe) struct OfAttempt {
    pub destination: String,
    pub outcome: String,
}

/// `{destination=…, state=…}`
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(in crate::observe) struct OfDestinationState {
    pub destination: String,
    pub state: String,
}

/// `{destination=…, kind=…}`
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(in crate::observe) struct OfIncident {
    pub destination: String,
    pub kind: String,
}

/// `{code=…}`
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(in crate::observe) struct OfCode {
    pub code: String,
}

/// `{action=…}`
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(in crate::observe) struct OfAction {
    pub action: String,
}

/// `{alarm=…}`
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(in crate::observe) struct OfAlarm {
    pub alarm: &'static str,
}

/// `{system=…, currency=…, state=…}`
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(in crate::observe) struct OfMoney {
    pub system: String,
    pub currency: String,
    pub state: String,
}

/// `{system=…}`
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(in crate::observe) struct OfSystem {
    pub system: String,
}

/// `{system=…, outcome=…}`
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(in crate::observe) struct OfRead {
    pub system: String,
    pub outcome: &'static str,
}

/// `{origin=…, outcome=…}`
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(in crate::observe) struct OfReading {
    pub origin: String,
    pub outcome: &'static str,
}

/// `{digest=…}`
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(in crate::observe) struct OfHead {
    pub digest: String,
}

/// `{column=…}`
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(in crate::observe) struct OfColumn {
    pub column: &'static str,
}

/// `{rule=…, severity=…}`
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(in crate::observe) struct OfRule {
    pub rule: String,
    pub severity: String,
}

/// `{contact=…, outcome=…}`
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(in crate::observe) struct OfMessage {
    pub contact: String,
    pub outcome: &'static str,
}

/// `{outcome=…}`
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(in crate::observe) struct OfOutcome {
    pub outcome: &'static str,
}

/// `{origin=…, poll=…, outcome=…}`
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(in crate::observe) struct OfPoll {
    pub origin: String,
    pub poll: String,
    pub outcome: &'static str,
}

/// `{origin=…, poll=…, became=…}`
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(in crate::observe) struct OfPollRecord {
    pub origin: String,
    pub poll: String,
    pub became: &'static str,
}
