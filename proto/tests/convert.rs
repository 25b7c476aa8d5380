//! Conversions: every report survives the round trip, and an error names the field.

use std::collections::BTreeMap;
use std::time::Duration;

use muster_proto::convert::{ConvertError, RefusalDetail};
use muster_proto::model::{
    Binding, Board, BoardCounts, Cause, ChangeRow, ChangesReport, CollectorStatus, DayCounts, DecisionReport, Digest,
    DisposedHost, DispositionKind, DispositionReport, DispositionState, DutyEvidence, DutyReport, DutyState,
    DutySubject, Evidence, Explanation, Finding, ForecastReport, ForecastState, HitReport, HostActionReport, HostFacts,
    HostId, HostLabel, HostMark, HostName, HostNote, HostOwner, HostReport, HostRow, HostState, Kind, Label, Lane,
    LaneChange, LaneMove, LaneMoves, LaneStep, ListenerUse, Losses, MachineIdentity, MarkReport, MilestoneReport,
    OmittedDays, OperatorsCertificate, OrderDifference, OrderFile, OrderFilesReport, OrderId, OrderReport,
    OrdersChangeReport, Outcome, Pace, PastAssessment, PastDecision, PastGap, PastHost, PastHostReport, PastSnapshot,
    PastUnknown, PastVerdict, Platform, Presence, ProductId, ProductReport, ProductSeen, Protection, PurgeCounts,
    RateForecast, RealtimeEvidence, Reason, ReasonKind, RefusalClass, Resources, RetirementReport, RosterCounts,
    RulesRefused, SignatureState, SiteId, SourceName, SourceReport, StoreRefuses, StoreUse, TermReport, TimelineDay,
    TimelineGroup, TimelineReport, Timestamp, TokenId, TokenReport, UnitState, UnprotectedTime, UserItem,
    VerdictReport, WaiverReason, WaiverReport, WaiverState, Watchlist,
};
use muster_proto::{limits, wire};

fn facts() -> HostFacts {
    HostFacts {
        hostname: "db01".to_owned(),
        platform: Platform::Linux,
        os_name: "Debian GNU/Linux 12 (bookworm)".to_owned(),
        kernel: "6.1.0".to_owned(),
        architecture: "x86_64".to_owned(),
        agent_version: "0.1.0".to_owned(),
        offline_root: true,
        identity: MachineIdentity {
            serial: "7B5V4M1".to_owned(),
            hardware_uuid: "4c4c4544-0042-3510-8056-b4c04f4e4d31".to_owned(),
            asset_tag: "FIN-0042".to_owned(),
            macs: vec!["00:1b:63:84:45:e6".to_owned()],
            fqdn: "web-1.example.org".to_owned(),
            domain: "example.org".to_owned(),
            chassis: "notebook".to_owned(),
        },
    }
}

fn state() -> HostState {
    HostState {
        boot_id: "b".to_owned(),
        addresses: vec!["192.0.2.7".to_owned()],
        units_outcome: Some(Outcome::Found),
        units: vec![UnitState { name: "kesl.service".to_owned(), active: true }],
        signatures: vec![SignatureState {
            place: "clamav:daily".to_owned(),
            version: "27000".to_owned(),
            released: Some(Timestamp::from_millis(7)),
        }],
        realtime: vec![RealtimeEvidence { place: "fanotify:clamonacc".to_owned(), on: false }],
        pending_reboot: Some(false),
        realtime_outcome: Some(Outcome::Denied),
        user_items: vec![UserItem { user: "0a1b".to_owned(), place: "flatpak:org.x.One".to_owned() }],
        users_outcome: Some(Outcome::Partial),
        losses: Losses { coalesced: 3, dropped: u64::MAX, damaged: 1 },
    }
}

fn order() -> OrderReport {
    OrderReport {
        id: OrderId::new("us-bis").expect("valid"),
        title: "t".to_owned(),
        issuer: "i".to_owned(),
        jurisdiction: "US".to_owned(),
        binding: Binding::Prohibition,
        active: true,
        due: Some(Timestamp::from_millis(9)),
        due_confirmed: false,
        zone: "America/New_York".to_owned(),
        calendar: "us-federal".to_owned(),
        milestones: vec![MilestoneReport {
            id: "m".to_owned(),
            stated: "2024-09-29".to_owned(),
            reached: Timestamp::from_millis(9),
            at_end: true,
            confirmed: false,
            what: "updates end".to_owned(),
            addendum: "acme".to_owned(),
        }],
        clocks: vec![term("found", "within 3 business days")],
        recurring: vec![term("2018-01-11", "every 30 days")],
        sources: vec!["89 FR 52434".to_owned()],
        layer: "applied".to_owned(),
        addendum: "acme".to_owned(),
        platforms: vec!["linux".to_owned()],
        sites: vec!["hq".to_owned()],
        labels: vec!["vip".to_owned()],
        patience_ms: 5,
        approved: vec!["clamav".to_owned()],
    }
}

fn term(starts: &str, term: &str) -> TermReport {
    TermReport {
        id: "report".to_owned(),
        starts: starts.to_owned(),
        from: Some(Timestamp::from_millis(7)),
        until: None,
        term: term.to_owned(),
        per: "product".to_owned(),
        what: "report it".to_owned(),
        fields: vec!["contract number".to_owned()],
        confirmed: true,
    }
}

fn site() -> SiteId {
    SiteId::new("hq").expect("valid")
}

fn reason() -> Reason {
    Reason {
        product: Some(ProductSeen {
            id: ProductId::new("kesl").expect("valid"),
            name: "Endpoint Security".to_owned(),
            version: "12.2".to_owned(),
            presence: Presence::Installed,
        }),
        source: Some(SourceName::Dpkg),
        outcome: Some(Outcome::Found),
        evidence: Some(Evidence {
            source: SourceName::Dpkg,
            kind: Kind::Deb,
            name: "kesl".to_owned(),
            version: "12.2".to_owned(),
            state: "ii".to_owned(),
            path: "/x".to_owned(),
            other_vendor: "Someone Else".to_owned(),
        }),
        command: Some("apt-get purge kesl".to_owned()),
        order: Some(OrderId::new("us-bis").expect("valid")),
        ..Reason::new(ReasonKind::Product, "kesl/linux/deb#1", "it is installed")
    }
}

fn host() -> HostReport {
    HostReport {
        id: HostId::from_bytes([7; 16]),
        site: site(),
        facts: facts(),
        state: state(),
        enrolled_at: Timestamp::from_millis(1),
        last_seen: Some(Timestamp::from_millis(2)),
        snapshot_since: None,
        observed_at: Some(Timestamp::from_millis(3)),
        complete_scan: Some(Timestamp::from_millis(9)),
        snapshot: "ab".to_owned(),
        sources: vec![SourceReport {
            source: SourceName::Rpm,
            outcome: Outcome::Denied,
            reason: "no".to_owned(),
            observations: 3,
            needed_by: vec![OrderId::new("us-bis").expect("valid")],
        }],
        hits: vec![HitReport {
            product: ProductId::new("kesl").expect("valid"),
            name: "n".to_owned(),
            vendor: "v".to_owned(),
            category: "antivirus".to_owned(),
            presence: Presence::Remnant,
            version: "1".to_owned(),
            rule: "r".to_owned(),
            evidence: vec![],
        }],
        labels: vec![HostLabel { label: Label::new("vip").expect("valid"), since: Timestamp::from_millis(4) }],
        owner: Some(HostOwner { owner: "Jane Doe".to_owned(), since: Timestamp::from_millis(5) }),
        notes: vec![HostNote { at: Timestamp::from_millis(6), by: "ada".to_owned(), text: "a note".to_owned() }],
        verdicts: vec![VerdictReport {
            order: order(),
            lane: Lane::Waived,
            true_lane: Lane::Confirm,
            decision: Some(decision()),
            in_scope: true,
            overdue: true,
            silent: false,
            presence: Presence::Remnant,
            protection: Protection::Approved,
            unprotected: Some(UnprotectedTime {
                since: Some(Timestamp::from_millis(3)),
                current_ms: 4,
                longest_ms: 5,
                total_ms: 9,
            }),
            since: Timestamp::from_millis(4),
            advice: "a".to_owned(),
            commands: vec![reason()],
            reasons: vec![reason()],
        }],
        marks: vec![MarkReport {
            mark: HostMark::Revoked,
            since: Timestamp::from_millis(5),
            reason: "stolen".to_owned(),
        }],
        enrolled_with: "tok".to_owned(),
        dispositions: vec![disposition()],
    }
}

fn decision() -> DecisionReport {
    DecisionReport {
        lane: Lane::Waived,
        number: 3,
        why: "legacy-system".to_owned(),
        text: "separate network".to_owned(),
        until: Some(Timestamp::from_millis(9)),
        requested_by: "ada".to_owned(),
        approved_by: "bob".to_owned(),
        approved_at: Timestamp::from_millis(4),
        is_self_approved: true,
    }
}

fn waiver() -> WaiverReport {
    WaiverReport {
        number: 3,
        order: OrderId::new("us-bis").expect("valid"),
        state: WaiverState::Ended,
        reason: WaiverReason::LegacySystem,
        control: "separate network".to_owned(),
        until: Timestamp::from_millis(9),
        beyond_milestone: true,
        hosts: 2,
        requested_by: "ada".to_owned(),
        requested_at: Timestamp::from_millis(1),
        decided_by: "bob".to_owned(),
        decided_at: Some(Timestamp::from_millis(4)),
        is_self_approved: true,
        ended_by: "eve".to_owned(),
        ended_at: Some(Timestamp::from_millis(5)),
        first_hosts: vec![HostName { id: HostId::from_bytes([7; 16]), hostname: "db01".to_owned() }],
        lanes: [(Lane::Replace, 2)].into(),
    }
}

fn disposition() -> DispositionReport {
    DispositionReport {
        number: 4,
        state: DispositionState::Approved,
        kind: DispositionKind::Sold,
        evidence: "receipt".to_owned(),
        file: Some(DutyEvidence { name: "a.pdf".to_owned(), sha256: "0a".repeat(32) }),
        requested_by: "ada".to_owned(),
        requested_at: Timestamp::from_millis(1),
        decided_by: "bob".to_owned(),
        decided_at: Some(Timestamp::from_millis(2)),
        needs_second: true,
        is_self_approved: true,
        hosts: vec![DisposedHost {
            id: HostId::from_bytes([7; 16]),
            hostname: "db01".to_owned(),
            ended_at: Some(Timestamp::from_millis(3)),
            returned_at: Some(Timestamp::from_millis(4)),
        }],
    }
}

#[test]
fn waivers_and_dispositions_survive_the_wire() {
    assert_eq!(WaiverReport::try_from(wire::Waiver::from(waiver())), Ok(waiver()));
    assert_eq!(DecisionReport::try_from(wire::Decision::from(decision())), Ok(decision()));
    assert_eq!(DispositionReport::try_from(wire::Disposition::from(disposition())), Ok(disposition()));
    let retired = RetirementReport { dispositions: vec![disposition()], retired: 1, waiting: 2, unchanged: 3 };
    assert_eq!(RetirementReport::try_from(wire::RetireHostsResponse::from(retired.clone())), Ok(retired));
}

#[test]
fn facts_state_watchlist_and_refusals_survive_the_wire() {
    assert_eq!(HostFacts::try_from(wire::HostFacts::from(facts())), Ok(facts()));
    assert_eq!(HostState::try_from(wire::HostState::from(state())), Ok(state()));
    let list = Watchlist { version: 3, paths: vec!["/opt/kaspersky".to_owned()], ..Watchlist::default() };
    assert_eq!(Watchlist::try_from(wire::Watchlist::from(list.clone())), Ok(list));
    let refusal = RefusalDetail {
        class: RefusalClass::Later,
        pace: Pace { next: Duration::from_millis(1500), jitter: Duration::from_millis(20), byte_budget: 9 },
        server_time: Timestamp::from_millis(11),
    };
    assert_eq!(RefusalDetail::try_from(wire::Refusal::from(refusal)), Ok(refusal));
}

fn duty() -> DutyReport {
    DutyReport {
        number: 7,
        order: OrderId::new("us-far").expect("valid"),
        clock: "first-report".to_owned(),
        subject: DutySubject::Host(HostId::from_bytes([1; 16])),
        hostname: "h".to_owned(),
        site: Some(site()),
        opened: Timestamp::from_millis(1),
        due: Timestamp::from_millis(2),
        state: DutyState::Done,
        overdue: true,
        settled: Some(Timestamp::from_millis(3)),
        what: "report it".to_owned(),
        fields: vec!["contract number".to_owned()],
        confirmed: true,
        reference: "12".to_owned(),
        evidence: Some(DutyEvidence { name: "a.pdf".to_owned(), sha256: "0a".repeat(32) }),
    }
}

#[test]
fn reports_survive_the_wire() {
    assert_eq!(DutyReport::try_from(wire::Duty::from(duty())), Ok(duty()));
    assert_eq!(HostReport::try_from(wire::Host::from(host())), Ok(host()));
    let explanation = Explanation {
        host: host(),
        history: vec![LaneChange {
            order: OrderId::new("us-bis").expect("valid"),
            since: Timestamp::from_millis(5),
            lane: Lane::Replace,
            cause: Cause::Installed,
        }],
        rules_version: "1-abc".to_owned(),
        duties: vec![duty()],
    };
    assert_eq!(Explanation::try_from(wire::ExplainHostResponse::from(explanation.clone())), Ok(explanation));
    let board = Board {
        order: order(),
        counts: BoardCounts {
            lanes: Lane::ALL.iter().map(|lane| (*lane, u64::from(lane.code()))).collect(),
            total: 70,
            out_of_scope: 4,
            overdue: 5,
            silent: 6,
            waived: [(Lane::Replace, 7)].into(),
            retired: [(Lane::Clear, 8)].into(),
            self_approved: 9,
        },
        outside: Some(BoardCounts {
            lanes: [(Lane::Clear, 2)].into(),
            total: 3,
            out_of_scope: 1,
            ..BoardCounts::default()
        }),
        roster: Some(RosterCounts { listed: 9, matched: 7, missing: 2, review: 1, excused: 4, outside: 3 }),
        as_of: Timestamp::from_millis(8),
        judge_queue: Some(1),
        overdue_duties: 2,
        unprotected: Some(3),
        unprotected_since: Some(Timestamp::from_millis(7)),
    };
    assert_eq!(Board::try_from(wire::Board::from(board.clone())), Ok(board));
    let row = HostRow {
        id: HostId::from_bytes([1; 16]),
        hostname: "h".to_owned(),
        site: site(),
        platform: Platform::Windows,
        os_name: "o".to_owned(),
        last_seen: None,
        lanes: BTreeMap::from([(OrderId::new("us-bis").expect("valid"), Lane::Retired)]),
        true_lanes: BTreeMap::from([(OrderId::new("us-bis").expect("valid"), Lane::Silent)]),
        overdue: vec![OrderId::new("us-bis").expect("valid")],
        silent: vec![OrderId::new("us-bis").expect("valid")],
        marks: vec![HostMark::Quarantined, HostMark::Revoked],
        labels: vec![Label::new("vip").expect("valid"), Label::new("wave-1").expect("valid")],
        owner: "Jane Doe".to_owned(),
    };
    assert_eq!(HostRow::try_from(wire::HostRow::from(row.clone())), Ok(row));
    let finding = Finding {
        order: OrderId::new("us-bis").expect("valid"),
        host: HostId::from_bytes([2; 16]),
        hostname: "h".to_owned(),
        site: site(),
        platform: Platform::Macos,
        lane: Lane::Protect,
        overdue: false,
        silent: true,
        presence: Presence::None,
        protection: Protection::Unapproved,
        since: Timestamp::from_millis(6),
        last_seen: Some(Timestamp::from_millis(5)),
        reason: "r".to_owned(),
        advice: "a".to_owned(),
    };
    assert_eq!(Finding::try_from(wire::Finding::from(finding.clone())), Ok(finding));
    let product = ProductReport {
        id: ProductId::new("clamav").expect("valid"),
        name: "ClamAV".to_owned(),
        vendor: "Cisco".to_owned(),
        category: "antivirus".to_owned(),
        family: String::new(),
        platforms: vec![Platform::Linux],
        recognisers: 4,
        details: vec!["deb clamav".to_owned()],
    };
    assert_eq!(ProductReport::try_from(wire::Product::from(product.clone())), Ok(product));
    let token = TokenReport {
        id: TokenId::new("abc").expect("valid"),
        site: site(),
        created_at: Timestamp::from_millis(1),
        expires_at: Timestamp::from_millis(2),
        max_uses: 3,
        uses: 1,
        revoked_at: Some(Timestamp::from_millis(4)),
    };
    assert_eq!(TokenReport::try_from(wire::EnrollmentToken::from(token.clone())), Ok(token));
}

#[test]
fn changes_of_lanes_survive_the_wire() {
    let change = |from, to| ChangeRow {
        at: Timestamp::from_millis(5),
        host: HostId::from_bytes([3; 16]),
        hostname: "h".to_owned(),
        site: site(),
        order: OrderId::new("us-bis").expect("valid"),
        from,
        to,
        cause: Cause::ProtectionChanged,
    };
    let report = ChangesReport {
        changes: vec![change(None, Some(Lane::Replace)), change(Some(Lane::Silent), None)],
        total: 4,
        hosts: 3,
        causes: Cause::ALL.iter().map(|cause| (*cause, u64::from(cause.code()))).collect(),
    };
    assert_eq!(ChangesReport::try_from(wire::ListChangesResponse::from(report.clone())), Ok(report.clone()));
    let mut strange = wire::ListChangesResponse::from(report);
    strange.changes[1].cause = 99;
    let error = ChangesReport::try_from(strange).expect_err("no such cause");
    assert!(matches!(error, ConvertError::Code { field: "LaneChange.cause", code: 99 }), "{error}");
}

#[test]
fn collector_status_survives_the_wire_with_and_without_refused_rules() {
    let mut status = CollectorStatus {
        version: "0.1.0".to_owned(),
        rules_version: "r".to_owned(),
        hosts: 1,
        judge_queue: 2,
        judge_queue_lag_ms: 3,
        now: Timestamp::from_millis(4),
        rules_refused: Some(RulesRefused { since: Timestamp::from_millis(0), fault: "a.toml:1: x".to_owned() }),
        editions: 5,
        editions_percent: 6,
        editions_alarm: true,
        marks: BTreeMap::from([(HostMark::Revoked, 7)]),
        store_refuses: Some(StoreRefuses { since: Timestamp::from_millis(7), reason: "the disk is full".to_owned() }),
        resources: Resources {
            listeners: vec![ListenerUse {
                name: "agents".to_owned(),
                connections: 1,
                limit: 2,
                unproven: 3,
                refused: 4,
            }],
            store: Some(StoreUse { bytes: 5, growth_per_day: Some(6), free_bytes: Some(7) }),
            certificate_expires: Some(Timestamp::from_millis(8)),
            operators_certificate: Some(OperatorsCertificate {
                expires: Timestamp::from_millis(9),
                refused: Some("it has no key".to_owned()),
            }),
        },
    };
    assert_eq!(CollectorStatus::try_from(wire::GetStatusResponse::from(status.clone())), Ok(status.clone()));
    status.rules_refused = None;
    let old = wire::GetStatusResponse { rules_refused: None, ..status.clone().into() };
    assert_eq!(CollectorStatus::try_from(old), Ok(status));
}

#[test]
fn what_an_action_on_hosts_has_changed_survives_the_wire() {
    let host = HostName { id: HostId::from_bytes([3; 16]), hostname: "web-1".to_owned() };
    let report = HostActionReport {
        hosts: vec![host],
        changed: 2,
        unchanged: 3,
        removed: PurgeCounts { snapshots: 4, sections: 5 },
    };
    assert_eq!(HostActionReport::try_from(wire::HostActionResponse::from(report.clone())), Ok(report));
}

#[test]
fn what_a_change_of_orders_changes_and_the_files_of_orders_survive_the_wire() {
    let order = OrderId::new("acme").expect("valid");
    let moves = vec![
        LaneMove { order: order.clone(), from: None, to: Some(Lane::Replace), hosts: 2 },
        LaneMove { order: order.clone(), from: Some(Lane::Clear), to: None, hosts: 3 },
    ];
    let report = OrdersChangeReport {
        differences: vec![OrderDifference { order, lines: vec!["patience: 7d → 3d".to_owned()] }],
        rules_version: "r".to_owned(),
        is_changed: true,
        lanes: LaneMoves { moves, moved_hosts: 4, hosts: 5 },
    };
    let wired = wire::ChangeOrdersResponse::from(report.clone());
    assert_eq!(OrdersChangeReport::try_from(wired.clone()).expect("valid"), report);
    let strange =
        wire::ChangeOrdersResponse { moves: vec![wire::LaneMove { from: 99, ..wired.moves[0].clone() }], ..wired };
    let error = OrdersChangeReport::try_from(strange).expect_err("no such lane");
    assert!(error.to_string().contains("LaneMove.from"), "{error}");
    let file = OrderFile { name: "shipped/orders/a.toml".to_owned(), text: "x".to_owned(), sha256: "00".to_owned() };
    let from = Timestamp::from_millis(8);
    let files = OrderFilesReport { files: vec![file], rules_version: "r".to_owned(), from, active: true };
    assert_eq!(OrderFilesReport::from(wire::GetOrderFilesResponse::from(files.clone())), files);
}

#[test]
fn an_error_names_the_field() {
    let mut strange = wire::HostFacts::from(facts());
    strange.platform = "plan9".to_owned();
    let error = HostFacts::try_from(strange).expect_err("no such platform");
    assert!(matches!(error, ConvertError::Name { field: "HostFacts.platform", .. }), "{error}");

    let mut crowded = wire::HostState::from(state());
    crowded.addresses = vec!["192.0.2.1".to_owned(); limits::ADDRESSES_PER_HOST + 1];
    let error = HostState::try_from(crowded).expect_err("too many addresses");
    assert!(error.is_limit() && error.to_string().contains("ADDRESSES_PER_HOST"), "{error}");

    let mut crowded = wire::HostState::from(state());
    crowded.user_items = vec![crowded.user_items[0].clone(); limits::USER_ITEMS_PER_HOST + 1];
    let error = HostState::try_from(crowded).expect_err("too many items");
    assert!(error.is_limit() && error.to_string().contains("USER_ITEMS_PER_HOST"), "{error}");

    let mut row = wire::Host::from(host());
    row.verdicts[0].lane = 99;
    let error = HostReport::try_from(row).expect_err("no such lane");
    assert!(matches!(error, ConvertError::Code { field: "Verdict.lane", code: 99 }), "{error}");

    let mut row = wire::Host::from(host());
    row.id = vec![1, 2, 3].into();
    let error = HostReport::try_from(row).expect_err("no UUID");
    assert!(matches!(error, ConvertError::Id { field: "Host.id", .. }), "{error}");
}

#[test]
fn the_past_is_the_same_after_it_was_sent() {
    let counts = DayCounts { lanes: [(Lane::Replace, 2), (Lane::Silent, 1)].into(), out_of_scope: 3, total: 6 };
    let group = |site| TimelineGroup { site, label: Some(Label::new("vip").expect("valid")), counts: counts.clone() };
    let timeline = TimelineReport {
        order: OrderId::new("us-bis").expect("valid"),
        days: vec![TimelineDay {
            at: Timestamp::from_millis(86_399_999),
            counts: counts.clone(),
            groups: vec![group(None), group(Some(site()))],
            steps: vec![LaneStep { from: None, to: Some(Lane::Replace), cause: Cause::Enrolled, hosts: 2 }],
            progress: -2,
        }],
        omitted: vec![OmittedDays {
            from: Timestamp::from_millis(1),
            until: Timestamp::from_millis(2),
            why: PastUnknown::Lost,
        }],
    };
    assert_eq!(TimelineReport::try_from(wire::GetTimelineResponse::from(timeline.clone())), Ok(timeline));
    let rate = RateForecast {
        window: 7,
        days: 6,
        median: -0.5,
        least: -3,
        most: 4,
        end: None,
        earliest: Some(Timestamp::from_millis(9)),
        latest: None,
    };
    let forecast = ForecastReport {
        order: OrderId::new("us-bis").expect("valid"),
        as_of: Timestamp::from_millis(8),
        open: 7,
        waivers_ending: 3,
        waived: 5,
        state: ForecastState::Rates,
        days: 20,
        rates: vec![rate],
        due: Some(Timestamp::from_millis(10)),
        needed: Some(2),
    };
    assert_eq!(ForecastReport::try_from(wire::GetForecastResponse::from(forecast.clone())), Ok(forecast));
    let verdict = PastVerdict {
        order: OrderId::new("us-bis").expect("valid"),
        lane: Lane::Confirm,
        true_lane: Lane::Silent,
        in_scope: true,
        overdue: true,
        silent: false,
        since: Timestamp::from_millis(5),
        cause: Cause::Removed,
    };
    let host = PastHost {
        id: HostId::from_bytes([3; 16]),
        hostname: "h".to_owned(),
        site: site(),
        platform: Platform::Linux,
        os_name: "o".to_owned(),
        enrolled_at: Timestamp::from_millis(1),
        last_seen: Some(Timestamp::from_millis(2)),
        verdicts: vec![verdict],
    };
    assert_eq!(PastHost::try_from(wire::PastHost::from(host.clone())), Ok(host.clone()));
    let gap = PastGap {
        order: OrderId::new("other").expect("valid"),
        why: PastUnknown::SilenceUnknown,
        from: Some(Timestamp::from_millis(3)),
    };
    let report = PastHostReport {
        as_of: Timestamp::from_millis(4),
        host,
        labels: vec![Label::new("vip").expect("valid")],
        owner: "Jane".to_owned(),
        roster_entry: Some(12),
        unknown: vec![gap],
        decisions: vec![PastDecision {
            order: OrderId::new("us-bis").expect("valid"),
            decision: DecisionReport {
                lane: Lane::Waived,
                number: 3,
                why: "legacy-system".to_owned(),
                text: "separate network".to_owned(),
                until: Some(Timestamp::from_millis(9)),
                requested_by: "ada".to_owned(),
                approved_by: "bob".to_owned(),
                approved_at: Timestamp::from_millis(2),
                is_self_approved: false,
            },
        }],
        rules_version: "r".to_owned(),
        snapshot: Some(PastSnapshot {
            digest: Digest::of(b"x"),
            since: Timestamp::from_millis(1),
            observed_at: Timestamp::from_millis(0),
            sources: Vec::new(),
        }),
        assessments: vec![PastAssessment {
            order: OrderId::new("us-bis").expect("valid"),
            presence: Presence::Remnant,
            protection: Protection::Approved,
            reasons: vec![Reason::new(ReasonKind::Removal, "rule", "text")],
        }],
        not_kept: vec!["this".to_owned()],
    };
    assert_eq!(PastHostReport::try_from(wire::GetPastHostResponse::from(report.clone())), Ok(report));
    let wrong = wire::OmittedDays { from_ms: 0, until_ms: 0, why: 99 };
    OmittedDays::try_from(wrong).expect_err("an unknown code");
}
