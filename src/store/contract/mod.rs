//! The promises every backend keeps, as functions over the port. A backend's tests run each of them on a fresh store:
//! [`contract!`] makes one test a promise. A name that starts with a rule's id proves that rule of delivery-semantics.

#![expect(missing_docs, reason = "a promise says in its name what it proves")]

pub mod accounts;
pub mod alerts;
pub mod books;
pub mod build;
pub mod bulk;
pub mod delivery;
pub mod finding;
pub mod guards;
pub mod intake;
pub mod lanes;
pub mod people;
pub mod positions;
pub mod processing;
pub mod random;
pub mod reading;
pub mod running;
pub mod saved;
pub mod wanted;

/// Makes one test a promise; `$store` is an async function that gives a fresh store and whatever must outlive it.
macro_rules! contract {
    ($store:path) => {
        $crate::store::contract::contract!($store, intake {
            ack_1_what_was_answered_can_be_read_back,
            ack_1_a_request_without_records_is_refused,
            ack_4_one_bad_envelope_never_fails_its_neighbours,
            ack_7_a_batch_is_taken_record_by_record_in_order,
            ded_1_first_then_duplicate_then_conflict,
            ded_1_identical_records_of_one_request_are_one,
            ded_1_of_32_concurrent_submitters_of_one_key_one_is_first,
            a_conflict_opens_its_exception_once_and_keeps_the_ledger,
            p1_every_content_of_an_event_id_used_again_is_kept,
            key_2_two_envelopes_that_imply_one_key_make_one_delivery,
            an_express_delivery_starts_with_its_envelope,
            p4_effects_never_overtake_an_earlier_event_of_their_order,
        });
        $crate::store::contract::contract!($store, processing {
            claims_hand_out_an_orders_events_one_at_a_time,
            p6_what_was_claimed_and_not_concluded_is_claimed_again_once_given_back,
            concluding_twice_is_refused,
            a_later_document_replaces_one_that_was_not_sealed,
            a_sealed_delivery_makes_later_reports_superseded,
            a_newer_report_closes_older_complaints_about_the_same_effect,
            a_complaint_about_a_numbered_effect_is_never_closed_by_another,
            older_reports_never_overwrite_newer_facts,
            an_ignored_event_says_why,
        });
        $crate::store::contract::contract!($store, delivery {
            lane_1_one_attempt_in_flight_a_lane,
            p4_a_lane_keeps_its_order_and_others_do_not_wait,
            lane_2_a_parked_head_blocks_its_own_lane_only,
            att_1_an_attempt_is_durable_before_it_is_handed_out,
            att_2_applied_wins_over_whatever_comes_later,
            att_2_evidence_of_a_stale_attempt_is_kept_and_changes_nothing,
            key_5_every_attempt_sends_the_sealed_bytes,
            a_start_with_an_outdated_document_is_left_out,
            due_heads_come_oldest_first_within_their_slots,
            settling_moves_the_envelope_through_the_ledger,
        });
        $crate::store::contract::contract!($store, running {
            what_a_person_holds_stays_held_until_a_person_lets_it_go,
            an_incident_is_written_as_it_goes_and_the_last_fifty_are_kept,
            a_destination_stands_with_what_waits_and_what_is_under_way,
            run_5_due_times_move_with_the_clock,
            unc_2_first_sends_go_back_with_the_clock_and_never_ahead_of_it,
        });
        $crate::store::contract::contract!($store, alerts {
            an_alert_and_its_messages_are_written_together_and_a_contact_is_told_once,
            who_was_told_hears_of_the_end_after_the_beginning_and_who_was_not_hears_of_neither,
            what_waits_for_the_morning_says_what_is_true_then,
            api_5_an_alert_is_taken_once_and_stays_taken,
            nobody_reached_relapses_and_what_is_kept,
            orders_are_counted_once_by_the_hour_they_came,
        });
        $crate::store::contract::contract!($store, lanes {
            lane_3_a_create_that_was_not_sealed_takes_the_newer_report_and_never_an_older_one,
            lane_3_changes_wait_behind_the_create_and_the_newest_wins,
            lane_3_a_sealed_change_is_sent_before_the_newer_one,
            lane_3_a_change_from_while_its_create_was_looked_for_gives_way_to_what_the_create_takes,
            lane_3_a_change_that_gave_way_makes_the_create_that_says_the_same_no_older,
            lane_3_what_a_change_said_that_gave_way_is_news_when_it_returns,
            lane_5_a_cancelled_create_is_never_sent_and_older_reports_do_not_bring_it_back,
            lane_5_an_order_that_is_there_and_unfinished_is_cancelled_by_what_follows,
            key_7_what_a_job_makes_is_not_replaced_and_what_it_did_not_make_is,
            lane_5_an_order_that_a_job_did_not_make_is_never_sent_again,
            lane_5_a_create_in_doubt_is_not_withdrawn,
            lane_4_a_held_change_is_due_and_shows_up_with_its_order_or_in_time,
            lane_4_a_held_change_keeps_nobody_waiting,
            lane_2_a_parked_head_lets_pass_what_may_overtake,
            lane_2_what_overtakes_keeps_lane_1_and_gives_the_place_back,
            lane_2_a_replacement_takes_its_place_before_what_overtook_it,
            unc_1_nothing_overtakes_a_head_in_doubt,
            bak_3_a_create_that_may_have_been_sent_before_a_restore_keeps_its_document,
            lane_5_what_waits_behind_a_create_that_is_given_up_is_never_sent,
            p6_a_held_change_is_not_silent,
        });
        $crate::store::contract::contract!($store, positions {
            a_search_goes_on_where_it_was_and_each_has_its_own_place,
            what_is_known_of_orders_is_told_in_the_order_they_are_asked_for,
            a_missing_number_is_asked_for_once_and_old_orders_open_no_hole,
        });
        $crate::store::contract::contract!($store, finding {
            orders_are_found_by_their_buyer_and_items_once_the_index_is_there,
            a_slice_is_written_once_and_only_where_the_index_is,
            numbers_receipts_keys_and_causes_lead_to_their_records,
            a_senders_id_leads_to_its_event,
            dat_1_an_erased_buyer_is_found_by_nothing_even_if_the_index_was_on_its_way,
            dat_2_a_buyer_is_found_as_long_as_a_body_names_him,
            traffic_counts_what_was_committed_by_hour_and_destination,
        });
        $crate::store::contract::contract!($store, wanted {
            p6_hints_wait_for_one_read_count_as_due_and_end_with_it,
            a_hint_that_comes_while_the_order_is_read_is_read_again,
            lane_4_an_absent_order_is_told_once_and_looked_for_all_the_same,
            a_reserved_number_that_never_came_is_ignored_and_one_that_came_needs_no_read,
            what_must_not_be_compiled_is_one_question_to_a_person,
        });
        $crate::store::contract::contract!($store, guards {
            att_2_a_look_is_an_attempt_that_seals_nothing_and_is_no_send,
            unc_4_the_rung_of_a_delivery_is_kept,
            key_4_a_persons_retry_starts_the_ladder_anew,
            att_2_a_late_answer_wins_over_doubt_that_was_settled_meanwhile,
            key_3_b_a_spent_key_gives_its_place_to_the_next_generation,
            key_3_c_a_second_effect_is_made_only_when_the_first_is_final,
        });
        $crate::store::contract::contract!($store, people {
            replay_closes_what_was_open_and_writes_what_is_new,
            replay_leaves_a_parked_sealed_delivery_to_a_decision,
            p1_replaying_the_first_content_does_not_close_the_complaint_about_the_second,
            p5_a_replay_decided_before_another_one_is_not_carried_out_after_it,
            key_4_retry_sends_the_same_bytes_with_the_same_key,
            key_3_a_replacement_takes_the_place_in_the_lane,
            key_3_a_an_edited_document_replaces_the_one_it_was_made_of_and_says_the_same_of_its_order,
            key_5_an_uncertain_delivery_is_not_replaced,
            key_7_what_was_applied_is_never_sent_or_replaced_again,
            an_abandoned_delivery_frees_its_lane,
            a_person_can_say_that_it_was_applied,
            only_a_parked_delivery_is_decided_about,
            mappings_are_replaced_whole_and_versioned,
            a_mapping_key_twice_is_refused_by_name,
            tokens_live_until_revoked_or_expired,
            p6_a_dismissed_delivery_is_given_up_and_one_in_doubt_is_not,
            p6_dismissing_one_complaint_leaves_the_others_and_what_is_under_way,
            single_rows_of_a_table_change_with_a_version_and_a_history,
        });
        $crate::store::contract::contract!($store, bulk {
            api_2_a_members_mark_is_written_with_its_effect_or_neither_is_there,
            api_5_what_is_stopped_goes_no_further_and_says_by_whom,
            an_act_waits_for_its_approval_and_is_ruled_about_once,
            poi_1_how_often_a_process_ended_over_a_member_is_counted,
            members_come_in_pages_in_their_order_and_old_acts_go,
            run_5_a_window_is_as_long_as_it_was_said_whatever_the_clock_does,
            dat_1_what_was_said_of_an_erased_orders_member_goes,
            lists_are_narrowed_by_origin_kind_and_time,
        });
        $crate::store::contract::contract!($store, accounts {
            api_4_a_subject_is_one_person_and_the_provider_s,
            api_4_a_name_is_one_persons_whatever_its_case,
            api_4_what_was_proved_must_still_be_true_when_a_session_begins,
            api_4_what_takes_something_from_a_person_ends_their_sessions,
            api_4_sessions_are_bounded_swept_and_replaced,
        });
        $crate::store::contract::contract!($store, saved {
            everybody_sees_their_own_views_and_the_shared_ones,
            somebody_begins_with_one_view_that_they_see,
            views_are_bounded,
            views_go_with_their_keeper,
        });
        $crate::store::contract::contract!($store, books {
            api_2_an_answer_is_kept_with_its_effect_or_neither_is_there,
            api_2_the_first_answer_stands_for_72_hours_and_is_swept_after,
            p2_every_order_is_in_one_sum_and_moves_with_its_state,
            p6_every_unfinished_envelope_is_looked_at_and_none_is_silent,
            api_5_every_act_is_a_row_with_who_what_from_where_and_why,
        });
        $crate::store::contract::contract!($store, reading {
            api_3_cursors_show_every_row_once_newest_first,
            api_3_foreign_cursors_are_refused,
            orders_are_found_by_what_they_wait_for,
            events_and_deliveries_are_found_by_state,
            exceptions_are_grouped_by_cause,
            an_order_tells_its_whole_story,
            figures_count_the_backlog,
            what_does_not_exist_is_not_found,
            after_closing_everything_is_stopped,
        });
    };
    ($store:path, $room:ident { $($promise:ident),+ $(,)? }) => {
        mod $room {
            $(
                #[tokio::test]
                async fn $promise() {
                    let (store, _keep) = $store().await;
                    $crate::store::contract::$room::$promise(&store).await;
                }
            )+
        }
    };
}
pub(crate) use contract;
