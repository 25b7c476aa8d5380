//! The contract suite that each backend must pass. A backend implements how to create a fresh store and open it again;
//! the macro makes one test of each function.

mod admin;
mod attestations;
mod changes;
mod concurrency;
mod crash;
mod decisions;
mod decisions_counted;
mod duties;
mod edition_removal;
mod edition_scale;
mod editions;
mod enrollment;
mod filters;
mod holders;
mod host_actions;
mod identity;
mod judge_queue;
mod kit;
mod list_plans;
mod lists;
mod login_links;
mod orders;
mod passwords;
mod past;
mod past_forecast;
mod past_said;
mod past_scale;
mod provider_logins;
mod purge;
mod retention;
mod roster;
mod sealing;
mod searches;
mod sessions;
mod size;
mod snapshots;
mod software;
mod unreferenced;
mod year;

use std::sync::Arc;

use super::Store;

pub(crate) use admin::*;
pub(crate) use attestations::*;
pub(crate) use changes::*;
pub(crate) use concurrency::*;
pub(crate) use crash::{acknowledged_is_there, report_forever};
pub(crate) use decisions::*;
pub(crate) use decisions_counted::*;
pub(crate) use duties::*;
pub(crate) use edition_removal::*;
pub(crate) use edition_scale::edition_scale;
pub(crate) use editions::*;
pub(crate) use enrollment::*;
pub(crate) use filters::*;
pub(crate) use holders::*;
pub(crate) use host_actions::*;
pub(crate) use identity::*;
pub(crate) use judge_queue::*;
pub(crate) use kit::{
    assert_healthy, at, check_in, current, delivery, enrolled as enrolled_fleet, enrollment, facts, host, host_revoke,
    judged, judgement, key, large_delivery, ledger, new_token, packages, reports, revoked_entry, second_snapshot,
    settled, settled_under, small_fleet, snapshot, token_create,
};
pub(crate) use list_plans::*;
pub(crate) use lists::*;
pub(crate) use login_links::*;
pub(crate) use orders::*;
pub(crate) use passwords::*;
pub(crate) use past::*;
pub(crate) use past_forecast::*;
pub(crate) use past_said::*;
pub(crate) use past_scale::{fill as past_fill, hosts as past_hosts, last_seen as past_last_seen, past_scale};
pub(crate) use provider_logins::*;
pub(crate) use purge::*;
pub(crate) use retention::*;
pub(crate) use roster::*;
pub(crate) use sealing::*;
pub(crate) use searches::*;
pub(crate) use sessions::*;
pub(crate) use size::*;
pub(crate) use snapshots::*;
pub(crate) use software::*;
pub(crate) use unreferenced::*;
pub(crate) use year::a_year_of_reports;

/// A place where a store can be created, closed, and opened again.
pub(crate) trait Backend: Sized + Send + Sync + 'static {
    /// A place that has no store yet.
    fn fresh() -> Self;
    /// Opens the store at this place.
    fn open(&self) -> Arc<dyn Store>;
}

/// One test for each function of the suite, on this backend.
macro_rules! suite {
    ($backend:ty: $($promise:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $promise() {
                $crate::store::contract::$promise(<$backend as $crate::store::contract::Backend>::fresh()).await;
            }
        )+
    };
    ($backend:ty) => {
        $crate::store::contract::suite! { $backend:
            a_token_is_listed_used_and_revoked
            a_finding_waits_until_its_duties_are_opened_and_a_site_sees_its_own
            more_duties_than_a_transaction_opens_are_opened_in_several
            an_order_is_finished_when_every_host_is_judged_and_done
            a_host_with_too_many_open_duties_is_looked_at_again_when_one_is_done
            hosts_without_protection_are_counted_until_they_have_it
            hosts_that_left_need_no_protection
            an_enrollment_needs_a_known_valid_token_with_uses_left
            a_repeated_enrollment_gets_the_same_host_and_costs_no_use
            a_token_of_another_site_does_not_move_a_host
            nothing_of_a_host_is_dated_before_its_enrollment
            both_keys_are_valid_until_the_new_one_is_used
            a_renewal_by_a_stranger_changes_nothing
            a_revoked_host_stays_known
            hosts_of_a_token_are_revoked_in_portions_and_released
            hosts_are_listed_and_counted_by_their_marks_and_tokens
            a_throttled_host_is_marked_and_recorded_once_a_day
            a_purged_host_loses_what_only_it_had_and_stays_in_every_count
            a_purge_of_much_takes_several_transactions
            a_host_that_was_purged_and_released_reports_everything_again
            only_hosts_of_the_callers_sites_are_changed
            two_agents_with_one_key_are_marked_until_a_review
            what_identifies_a_machine_is_kept_changed_and_forgotten
            a_report_of_another_machine_marks_the_host
            a_host_and_a_key_that_a_restore_has_lost_are_readmitted
            an_attestation_is_issued_with_the_settling_and_read_again_as_it_was
            an_outdated_judgement_issues_no_attestation
            an_attestation_names_the_waivers_of_its_host_and_the_newest_checkpoint
            a_host_keeps_its_newest_eight_attestations_under_an_order
            applied_orders_are_changed_one_after_the_other_and_announced
            rules_that_were_in_force_are_kept_and_found_by_time
            pages_of_hosts_to_judge_have_every_host_once_and_claim_nothing
            administrative_work_is_one_transaction_with_an_actor
            a_host_that_administration_requeues_is_judged_again
            accounts_are_created_rotated_and_revoked
            sessions_are_opened_found_and_end_with_their_account
            a_login_link_is_used_once_and_ends_with_its_account
            a_password_is_set_changed_and_removed_and_its_sessions_end_with_it
            a_login_with_the_provider_is_taken_once_and_in_time
            an_account_of_the_provider_belongs_to_its_person
            tokens_that_expired_long_ago_leave_space
            the_ledger_is_filtered_and_paged
            a_snapshot_becomes_current_when_its_last_section_is_there
            a_section_that_came_is_kept_though_others_are_missing
            a_snapshot_with_another_digest_is_refused_and_nothing_is_kept
            a_snapshot_of_another_platform_or_with_a_section_of_one_is_never_current
            a_repeated_check_in_only_renews_last_seen
            a_machine_that_was_rolled_back_reports_again_as_a_new_run
            a_check_in_whose_allowance_is_spent_only_renews_last_seen
            a_late_message_of_an_earlier_process_does_not_bring_back_its_snapshot
            a_late_delivery_does_not_move_the_pointer_back
            a_snapshot_that_is_known_becomes_current_without_an_upload
            the_last_complete_scan_is_remembered_while_scans_fail
            the_size_is_known_and_grows_with_what_is_stored
            a_full_dictionary_takes_what_it_knows_and_holds_back_what_is_new
            deliveries_at_once_do_not_exceed_the_bound_of_the_dictionary
            a_delivery_adds_no_more_editions_than_its_allowance
            two_hosts_of_one_image_share_snapshot_and_sections
            sections_are_rebuilt_as_they_came
            facts_and_state_are_kept_when_they_change
            everything_survives_a_restart
            a_host_waits_for_judgement_from_its_enrollment_on
            a_judgement_of_an_older_snapshot_is_not_written
            a_claim_is_not_given_twice_until_it_is_old
            a_lane_change_is_in_history_tally_and_ledger
            new_rules_explain_their_own_judgement_and_none_after_it
            an_order_that_is_no_longer_judged_leaves_only_its_remediation_record
            hits_belong_to_a_version_of_the_rules
            an_unchanged_snapshot_is_judged_again_after_a_day
            who_judges_a_host_again_knows_the_check_in_that_asked_for_it
            new_rules_put_every_host_on_the_judge_queue_once
            the_days_of_a_timeline_are_what_the_board_said_on_them
            the_tally_and_the_hosts_of_a_day_are_what_they_were_on_it
            a_host_that_has_just_come_back_was_silent_once
            a_timeline_by_label_has_the_labels_of_each_day
            days_whose_lanes_were_removed_are_left_out_with_the_reason
            waivers_that_end_before_an_order_is_due_are_counted_with_their_hosts
            a_timeline_ends_when_its_time_is_over_or_its_caller_has_gone
            what_was_said_of_hosts_is_known_of_each_instant
            changes_are_listed_with_their_causes
            silence_and_return_are_changes_though_check_ins_are_answered_from_memory
            gaps_older_than_the_retention_are_deleted
            the_past_of_hosts_is_removed_when_its_retention_ends
            what_nothing_refers_to_is_removed_when_it_is_old_enough
            what_was_removed_is_asked_for_when_it_is_named_again
            a_number_is_not_used_again_after_the_last_row_has_lost_its_host
            hosts_that_report_while_rows_are_removed_lose_nothing
            editions_that_no_section_has_are_removed_when_they_are_old_enough
            a_dictionary_that_was_full_takes_new_editions_after_a_removal
            a_pass_that_is_cut_off_anywhere_loses_nothing
            changes_are_paged_and_bounded_by_site
            silence_moves_only_lanes_that_yield_to_it
            a_waiver_needs_two_people_and_ends_by_itself
            a_waiver_of_a_site_is_decided_by_those_who_may_act_there
            a_request_that_is_not_finished_leaves_no_waiver
            a_host_that_is_not_finished_is_retired_by_two_people_and_returns_when_it_reports
            a_host_that_waits_to_be_judged_is_told_from_one_that_does_not
            hosts_are_taken_back_and_what_ended_long_ago_is_removed
            lists_and_tallies_agree_about_what_was_decided
            lists_are_in_order_filtered_and_paged
            a_list_is_the_same_however_it_is_read
            a_filter_means_the_same_to_the_store_as_in_memory
            a_product_is_found_by_the_remediation_record
            many_hosts_are_labelled_owned_noted_and_moved_with_their_past
            a_label_that_decides_about_no_order_makes_no_host_be_judged_again
            a_bulk_change_leaves_hosts_that_were_moved_away_from_the_sites_of_its_account
            a_line_of_a_list_means_one_host_or_none
            a_host_is_found_by_its_name_whatever_its_case
            an_unknown_host_is_told_so
            entries_are_sealed_in_order_once_and_without_gaps
            lists_are_imported_and_their_machines_matched
            a_person_decides_which_host_is_a_machine_and_can_undo_it
            a_machine_that_was_installed_anew_takes_the_place_of_the_one_before
            hosts_are_found_by_what_identifies_them
            a_probable_match_gives_way_to_a_certain_one
            an_import_that_is_not_started_changes_nothing_and_blocks_no_other_for_long
            lists_are_sorted_in_the_store_and_pages_have_no_gap
            counts_lists_and_searches_can_be_limited_to_sites
            software_is_found_in_current_snapshots_before_and_after_it_is_indexed
            an_index_of_many_segments_says_what_the_sections_say
            a_removed_package_is_a_remnant_and_a_version_is_exact
            a_search_within_sites_counts_and_pages_only_their_hosts
            a_search_beyond_its_budget_ends_with_the_bound_by_name
            a_search_ends_when_its_caller_has_gone
            reports_do_not_wait_for_searches
            a_search_reads_each_block_of_the_index_once
            a_page_of_hosts_does_not_read_all_hosts_that_are_found
            pages_of_hosts_follow_names_and_ids_whatever_the_case
            an_operation_that_fails_affects_no_other
            concurrent_clients_leave_the_store_consistent
            a_reader_that_follows_the_ledger_misses_nothing
            a_closed_store_refuses_operations
        }
    };
}
pub(crate) use suite;
