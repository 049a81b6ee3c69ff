/* What every engine of shared/store.h must do, as tests that take the engine as a parameter:
 *
 *     #define TEST(name)                                   \
 *         Test(store_memory, name)                         \
 *         {                                                \
 *             struct store_contract contract;              \
 *             store_contract_begin(&contract, &engine);    \
 *             store_contract_##name(&contract);            \
 *             store_contract_end(&contract);               \
 *         }
 *     STORE_CONTRACT(TEST)
 */
#ifndef HOLDFAST_TESTS_SHARED_STORE_CONTRACT_H
#define HOLDFAST_TESTS_SHARED_STORE_CONTRACT_H

#include "shared/io.h"
#include "shared/store.h"
#include "shared/store_metrics.h"

#define CONTRACT_HANDLES_MAX 4
#define CONTRACT_SEEN_MAX 64 /* answers that are kept */
#define CONTRACT_VALUE_MAX (STORE_LIST_MAX * (8 + 1 + STORE_TOPIC_NAME_MAX))
#define CONTRACT_SESSION_TTL_S 1
#define CONTRACT_MEMBER_TTL_MS 300

struct store_contract;

struct store_contract_engine {
    const char *name;
    /* One store for all handles of a test (else: each handle has its own). */
    bool is_shared;
    /* Time is the now_ms that store_run is given, so that a test can skip ahead; else it passes by
     * itself and is waited for. */
    bool has_fake_clock;
    /* Makes an empty store for this test, and its URL; `state` is the engine's. */
    void (*begin)(struct store_contract *contract);
    void (*end)(struct store_contract *contract);
};

/* An answer with all that it points to. */
struct seen_answer {
    enum store_outcome outcome;
    struct cid subject;
    uint64_t tag;
    uint64_t fence;
    uint64_t first;
    uint64_t count;
    size_t value_length;
    uint8_t value[CONTRACT_VALUE_MAX];
    size_t mark_length;
    uint8_t mark[STORE_MARK_MAX];
    size_t exchange_count;
    struct {
        uint8_t slot;
        size_t length;
        uint8_t bytes[STORE_EXCHANGE_MAX];
    } exchanges[COAP_EXCHANGES_PER_PEER_MAX];
    size_t relation_count;
    struct {
        uint8_t slot;
        size_t length;
        uint8_t bytes[STORE_RELATION_MAX];
    } relations[RELATIONS_PER_SESSION_MAX];
    size_t member_count;
    struct store_member members[WORKERS_MAX];
    bool is_full;
    bool has_gap;
};

struct store_contract {
    const struct store_contract_engine *engine;
    char url[256];
    void *state;
    struct io *io;
    uint64_t now_ms;
    struct metrics metrics; /* STORE_METRICS from row 0, of all handles */
    struct store *stores[CONTRACT_HANDLES_MAX];
    size_t store_count;
    size_t asked;             /* by the helpers below */
    size_t answered;          /* all answers */
    bool in_call;             /* a question is being asked: no answer may come now */
    struct seen_answer *seen; /* [CONTRACT_SEEN_MAX]: the first ones since they were forgotten */
    size_t seen_count;
};

void store_contract_begin(struct store_contract *contract,
                          const struct store_contract_engine *engine);
void store_contract_end(struct store_contract *contract);

/* --- for the tests --- */

struct store *contract_open(struct store_contract *contract);
void contract_close(struct store_contract *contract, struct store *store);
/* Runs all handles until each question has been answered. */
void contract_settle(struct store_contract *contract);
void contract_pass(struct store_contract *contract, uint64_t ms);
uint64_t contract_counted(const struct store_contract *contract, enum store_metric metric);

/* The waiter of a session's question, and the octets of a string. */
struct store_waiter contract_waiter(struct store_contract *contract, const char *cid);
struct octets contract_octets(const char *text);
/* Must follow each question that is asked by hand; `status` must be STATUS_OK. */
void contract_asked(struct store_contract *contract, enum status status);

/* Settles the one question that was asked, and gives its answer (valid until the next one). */
const struct seen_answer *contract_settled(struct store_contract *contract, const char *cid,
                                           enum status status);
/* The status of a question that is refused: it must not be answered. */
#define CONTRACT_REFUSED(status_wanted, question)                         \
    do {                                                                  \
        enum status refused = (question);                                 \
        contract->in_call = false;                                        \
        cr_assert_eq(refused, status_wanted, "%s", status_text(refused)); \
    } while (0)

/* Ask, settle, and give the answer (valid until the next one). Session `cid` is 1 to 20 letters. */
const struct seen_answer *contract_create(struct store_contract *contract, struct store *store,
                                          const char *cid, const char *sealed, const char *mark,
                                          const struct address *address);
const struct seen_answer *contract_claim(struct store_contract *contract, struct store *store,
                                         const char *cid);
const struct seen_answer *contract_find(struct store_contract *contract, struct store *store,
                                        const struct address *address);
const struct seen_answer *contract_lease(struct store_contract *contract, struct store *store,
                                         const char *cid, uint64_t fence);
const struct seen_answer *contract_mark(struct store_contract *contract, struct store *store,
                                        const char *cid, uint64_t fence, const char *mark);
const struct seen_answer *contract_exchange(struct store_contract *contract, struct store *store,
                                            const char *cid, uint64_t fence, uint8_t slot,
                                            const char *value, const char *event);
const struct seen_answer *contract_remove(struct store_contract *contract, struct store *store,
                                          const char *cid, uint64_t fence);
const struct seen_answer *contract_put_identity(struct store_contract *contract,
                                                struct store *store, const char *identity,
                                                const char *sealed);
const struct seen_answer *contract_fetch_identity(struct store_contract *contract,
                                                  struct store *store, const char *identity);
const struct seen_answer *contract_nonces(struct store_contract *contract, struct store *store,
                                          uint8_t cid_config);
const struct seen_answer *contract_join(struct store_contract *contract, struct store *store,
                                        const struct store_member *member);
const struct seen_answer *contract_beat(struct store_contract *contract, struct store *store,
                                        const struct store_member *member);
const struct seen_answer *contract_leave(struct store_contract *contract, struct store *store,
                                         const struct store_member *member);
const struct seen_answer *contract_list(struct store_contract *contract, struct store *store);
/* A member with all fields filled in; boots differ by `boot`. */
struct store_member contract_member(uint16_t worker_id, uint8_t boot);

bool seen_value_is(const struct seen_answer *answer, const char *text);
bool seen_mark_is(const struct seen_answer *answer, const char *text);

/* --- the tests --- */

#define STORE_CONTRACT_SESSIONS(X)        \
    X(create_gives_a_first_block)         \
    X(create_of_a_taken_cid)              \
    X(claim_gives_what_was_stored)        \
    X(claim_makes_the_former_owner_stale) \
    X(claim_of_an_unknown_session)        \
    X(claims_raise_the_fence)             \
    X(blocks_never_overlap)               \
    X(fence_from_nowhere_is_stale)        \
    X(marks_are_replaced)                 \
    X(largest_values_fit)                 \
    X(empty_values_stay_empty)            \
    X(exchanges_come_back_with_a_claim)   \
    X(slots_are_overwritten)              \
    X(exchanges_expire)                   \
    X(an_exchange_has_one_event)          \
    X(an_exchange_takes_the_mark_along)   \
    X(events_are_counted)                 \
    X(session_is_found_by_address)        \
    X(address_goes_to_the_newer_session)  \
    X(removed_session_is_gone)            \
    X(remove_by_a_stale_owner)            \
    X(remove_and_create_again)            \
    X(sessions_expire)                    \
    X(leases_and_marks_renew)             \
    X(cids_of_other_lengths_are_others)

#define STORE_CONTRACT_QUESTIONS(X) \
    X(identities)                   \
    X(identity_is_replaced)         \
    X(unknown_identities)           \
    X(values_that_are_too_long)     \
    X(questions_that_cannot_be)     \
    X(nonce_blocks_never_overlap)   \
    X(order_of_a_subject)           \
    X(each_question_one_answer)     \
    X(too_many_questions)           \
    X(answers_may_ask)              \
    X(nobody_wants_to_know)         \
    X(commands_are_counted)

#define STORE_CONTRACT_MEMBERS(X)  \
    X(join_with_an_id)             \
    X(join_for_the_lowest_free_id) \
    X(join_of_a_held_id)           \
    X(join_again_by_the_same_boot) \
    X(join_when_all_ids_are_taken) \
    X(beat_renews_and_rewrites)    \
    X(beat_of_an_old_boot)         \
    X(beat_of_one_that_ran_out)    \
    X(expired_id_can_be_taken)     \
    X(leave_frees_the_id)          \
    X(leave_of_an_old_boot)        \
    X(list_is_in_order_of_id)

#define STORE_CONTRACT_RELATIONS(X)         \
    X(relations_come_back_with_a_claim)     \
    X(relations_are_replaced_and_emptied)   \
    X(all_relations_at_their_largest)       \
    X(relation_of_a_stale_owner)            \
    X(relation_and_event_are_one_step)      \
    X(a_relation_with_the_longest_event)    \
    X(long_events_are_bounded)              \
    X(relations_stand_beside_the_rest)      \
    X(relations_renew_and_end_with_session) \
    X(obliged_sessions_are_listed)          \
    X(obliged_no_more)                      \
    X(obliged_pages_come_in_parts)          \
    X(relations_that_cannot_be)

#define STORE_CONTRACT_TOPICS(X)   \
    X(topic_modes)                 \
    X(topics_have_values)          \
    X(changes_take_rising_numbers) \
    X(removed_topic_is_gone)       \
    X(topics_in_order_of_name)     \
    X(topics_come_in_parts)        \
    X(changes_in_order_of_number)  \
    X(changes_come_in_parts)       \
    X(changes_since_a_lost_number) \
    X(tombstones_are_bounded)      \
    X(topics_are_bounded)          \
    X(order_of_a_topic)            \
    X(topics_that_cannot_be)

#define STORE_CONTRACT(X)       \
    STORE_CONTRACT_SESSIONS(X)  \
    STORE_CONTRACT_QUESTIONS(X) \
    STORE_CONTRACT_MEMBERS(X)

#define STORE_CONTRACT_DECLARE(name) void store_contract_##name(struct store_contract *contract);
STORE_CONTRACT(STORE_CONTRACT_DECLARE)
STORE_CONTRACT_RELATIONS(STORE_CONTRACT_DECLARE)
STORE_CONTRACT_TOPICS(STORE_CONTRACT_DECLARE)
#undef STORE_CONTRACT_DECLARE

#endif
