#include "store_contract.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define GIVE_UP_MS 20000

static const struct metric rows[STORE_METRICS_COUNT] = {
#define ROW(id, name, label, help, kind) {name, label, help, kind},
    STORE_METRICS(ROW)
#undef ROW
};

void store_contract_begin(struct store_contract *contract,
                          const struct store_contract_engine *engine)
{
    *contract = (struct store_contract){.engine = engine};
    contract->seen = calloc(CONTRACT_SEEN_MAX, sizeof *contract->seen);
    cr_assert_not_null(contract->seen);
    cr_assert_eq(metrics_init(&contract->metrics, rows, STORE_METRICS_COUNT, 1), STATUS_OK);
    cr_assert_eq(io_new(&contract->io, IO_MMSG), STATUS_OK);
    contract->now_ms = io_now_ms(contract->io);
    engine->begin(contract);
}

void store_contract_end(struct store_contract *contract)
{
    cr_assert_eq(contract->answered, contract->asked, "%zu asked, %zu answered", contract->asked,
                 contract->answered);
    for (size_t i = 0; i < contract->store_count; i++)
        store_free(contract->stores[i]);
    if (contract->engine->end)
        contract->engine->end(contract);
    io_free(contract->io);
    metrics_free(&contract->metrics);
    free(contract->seen);
}

struct store *contract_open(struct store_contract *contract)
{
    const struct store_options options = {
        .url = contract->url,
        .io = contract->io,
        .metrics = &contract->metrics,
        .session_ttl_s = CONTRACT_SESSION_TTL_S,
        .member_ttl_ms = CONTRACT_MEMBER_TTL_MS,
    };
    char why[256] = "";
    struct store *store = NULL;
    enum status status = store_open(&store, &options, why, sizeof why);
    cr_assert_eq(status, STATUS_OK, "%s", why);
    cr_assert_lt(contract->store_count, (size_t)CONTRACT_HANDLES_MAX);
    contract->stores[contract->store_count++] = store;
    return store;
}

void contract_close(struct store_contract *contract, struct store *store)
{
    size_t kept = 0;
    for (size_t i = 0; i < contract->store_count; i++)
        if (contract->stores[i] != store)
            contract->stores[kept++] = contract->stores[i];
    contract->store_count = kept;
    store_free(store);
}

static void run_all(struct store_contract *contract)
{
    if (!contract->engine->has_fake_clock)
        contract->now_ms = io_now_ms(contract->io);
    for (size_t i = 0; i < contract->store_count; i++)
        (void)store_run(contract->stores[i], contract->now_ms);
}

/* One turn of a loop that has other things to do as well. */
static void turn(struct store_contract *contract)
{
    run_all(contract);
    cr_assert_eq(io_turn(contract->io, io_now_ms(contract->io) + 5), STATUS_OK);
}

void contract_settle(struct store_contract *contract)
{
    uint64_t give_up_ms = io_now_ms(contract->io) + GIVE_UP_MS;
    run_all(contract);
    while (contract->answered < contract->asked) {
        if (contract->engine->has_fake_clock)
            run_all(contract);
        else
            turn(contract);
        cr_assert_lt(io_now_ms(contract->io), give_up_ms, "%zu of %zu were answered",
                     contract->answered, contract->asked);
    }
    run_all(contract); /* a second answer would come now */
    cr_assert_eq(contract->answered, contract->asked);
}

void contract_pass(struct store_contract *contract, uint64_t ms)
{
    if (contract->engine->has_fake_clock) {
        contract->now_ms += ms;
        return;
    }
    uint64_t until_ms = io_now_ms(contract->io) + ms;
    while (io_now_ms(contract->io) < until_ms)
        turn(contract);
}

uint64_t contract_counted(const struct store_contract *contract, enum store_metric metric)
{
    return metrics_get(&contract->metrics, metric);
}

/* --- answers --- */

static size_t copy(uint8_t *to, size_t size, struct octets octets)
{
    cr_assert_leq(octets.length, size);
    if (octets.length > 0)
        memcpy(to, octets.bytes, octets.length);
    return octets.length;
}

static void keep(struct seen_answer *seen, const struct store_answer *answer)
{
    *seen = (struct seen_answer){
        .outcome = answer->outcome,
        .subject = answer->subject,
        .tag = answer->tag,
        .fence = answer->fence,
        .first = answer->first,
        .count = answer->count,
        .exchange_count = answer->exchange_count,
        .relation_count = answer->relation_count,
        .member_count = answer->member_count,
        .is_full = answer->is_full,
        .has_gap = answer->has_gap,
    };
    seen->value_length = copy(seen->value, sizeof seen->value, answer->value);
    seen->mark_length = copy(seen->mark, sizeof seen->mark, answer->mark);
    cr_assert_leq(answer->exchange_count, (size_t)COAP_EXCHANGES_PER_PEER_MAX);
    for (size_t i = 0; i < answer->exchange_count; i++) {
        seen->exchanges[i].slot = answer->exchanges[i].slot;
        seen->exchanges[i].length =
            copy(seen->exchanges[i].bytes, STORE_EXCHANGE_MAX, answer->exchanges[i].value);
    }
    cr_assert_leq(answer->relation_count, (size_t)RELATIONS_PER_SESSION_MAX);
    for (size_t i = 0; i < answer->relation_count; i++) {
        seen->relations[i].slot = answer->relations[i].slot;
        seen->relations[i].length =
            copy(seen->relations[i].bytes, STORE_RELATION_MAX, answer->relations[i].value);
    }
    cr_assert_leq(answer->member_count, (size_t)WORKERS_MAX);
    for (size_t i = 0; i < answer->member_count; i++)
        seen->members[i] = answer->members[i];
}

static void see(void *owner, const struct store_answer *answer)
{
    struct store_contract *contract = owner;
    cr_assert_not(contract->in_call, "answered from within the call");
    contract->answered++;
    if (contract->seen_count < CONTRACT_SEEN_MAX)
        keep(&contract->seen[contract->seen_count++], answer);
}

struct store_waiter contract_waiter(struct store_contract *contract, const char *cid)
{
    struct store_waiter waiter = {.answer = see, .owner = contract};
    waiter.subject.length =
        (uint8_t)copy(waiter.subject.bytes, CID_LENGTH_MAX, contract_octets(cid));
    waiter.tag = contract->asked;
    contract->in_call = true;
    return waiter;
}

struct octets contract_octets(const char *text)
{
    return (struct octets){(const uint8_t *)text, strlen(text)};
}

void contract_asked(struct store_contract *contract, enum status status)
{
    contract->in_call = false;
    cr_assert_eq(status, STATUS_OK, "%s", status_text(status));
    contract->asked++;
}

const struct seen_answer *contract_settled(struct store_contract *contract, const char *cid,
                                           enum status status)
{
    uint64_t tag = contract->asked;
    contract_asked(contract, status);
    contract->seen_count = 0;
    contract_settle(contract);
    cr_assert_eq(contract->seen_count, 1u);
    const struct seen_answer *answer = &contract->seen[0];
    cr_assert_eq(answer->tag, tag);
    cr_assert_eq(answer->subject.length, strlen(cid));
    cr_assert_eq(memcmp(answer->subject.bytes, cid, strlen(cid)), 0);
    return answer;
}

const struct seen_answer *contract_create(struct store_contract *contract, struct store *store,
                                          const char *cid, const char *sealed, const char *mark,
                                          const struct address *address)
{
    const struct store_session session = {contract_octets(sealed), contract_octets(mark), address};
    struct store_waiter waiter = contract_waiter(contract, cid);
    return contract_settled(contract, cid, store_create_session(store, &session, &waiter));
}

const struct seen_answer *contract_claim(struct store_contract *contract, struct store *store,
                                         const char *cid)
{
    struct store_waiter waiter = contract_waiter(contract, cid);
    return contract_settled(contract, cid, store_claim_session(store, 7, &waiter));
}

const struct seen_answer *contract_find(struct store_contract *contract, struct store *store,
                                        const struct address *address)
{
    struct store_waiter waiter = contract_waiter(contract, "");
    return contract_settled(contract, "", store_find_session(store, address, &waiter));
}

const struct seen_answer *contract_lease(struct store_contract *contract, struct store *store,
                                         const char *cid, uint64_t fence)
{
    struct store_waiter waiter = contract_waiter(contract, cid);
    return contract_settled(contract, cid, store_lease_sequences(store, fence, &waiter));
}

const struct seen_answer *contract_mark(struct store_contract *contract, struct store *store,
                                        const char *cid, uint64_t fence, const char *mark)
{
    struct store_waiter waiter = contract_waiter(contract, cid);
    return contract_settled(contract, cid,
                            store_save_mark(store, fence, contract_octets(mark), &waiter));
}

const struct seen_answer *contract_exchange(struct store_contract *contract, struct store *store,
                                            const char *cid, uint64_t fence, uint8_t slot,
                                            const char *value, const char *event)
{
    const struct store_exchange exchange = {.slot = slot, .value = contract_octets(value)};
    struct store_waiter waiter = contract_waiter(contract, cid);
    return contract_settled(
        contract, cid,
        store_save_exchange(store, fence, &exchange, contract_octets(event), &waiter));
}

const struct seen_answer *contract_remove(struct store_contract *contract, struct store *store,
                                          const char *cid, uint64_t fence)
{
    struct store_waiter waiter = contract_waiter(contract, cid);
    return contract_settled(contract, cid, store_remove_session(store, fence, &waiter));
}

const struct seen_answer *contract_put_identity(struct store_contract *contract,
                                                struct store *store, const char *identity,
                                                const char *sealed)
{
    struct store_waiter waiter = contract_waiter(contract, "");
    return contract_settled(
        contract, "",
        store_put_identity(store, contract_octets(identity), contract_octets(sealed), &waiter));
}

const struct seen_answer *contract_fetch_identity(struct store_contract *contract,
                                                  struct store *store, const char *identity)
{
    struct store_waiter waiter = contract_waiter(contract, "");
    return contract_settled(contract, "",
                            store_fetch_identity(store, contract_octets(identity), &waiter));
}

const struct seen_answer *contract_nonces(struct store_contract *contract, struct store *store,
                                          uint8_t cid_config)
{
    struct store_waiter waiter = contract_waiter(contract, "");
    return contract_settled(contract, "", store_lease_nonces(store, cid_config, &waiter));
}

const struct seen_answer *contract_join(struct store_contract *contract, struct store *store,
                                        const struct store_member *member)
{
    struct store_waiter waiter = contract_waiter(contract, "");
    return contract_settled(contract, "", store_join(store, member, &waiter));
}

const struct seen_answer *contract_beat(struct store_contract *contract, struct store *store,
                                        const struct store_member *member)
{
    struct store_waiter waiter = contract_waiter(contract, "");
    return contract_settled(contract, "", store_beat(store, member, &waiter));
}

const struct seen_answer *contract_leave(struct store_contract *contract, struct store *store,
                                         const struct store_member *member)
{
    struct store_waiter waiter = contract_waiter(contract, "");
    return contract_settled(contract, "", store_leave(store, member, &waiter));
}

const struct seen_answer *contract_list(struct store_contract *contract, struct store *store)
{
    struct store_waiter waiter = contract_waiter(contract, "");
    return contract_settled(contract, "", store_list_members(store, &waiter));
}

struct store_member contract_member(uint16_t worker_id, uint8_t boot)
{
    struct store_member member = {.worker_id = worker_id, .state = STORE_SERVING};
    memset(member.boot.bytes, boot, sizeof member.boot.bytes);
    memset(member.link.ip, 0x20 + boot, sizeof member.link.ip);
    member.link.port = (uint16_t)(1000 + boot);
    memset(member.http.ip, 0x40 + boot, sizeof member.http.ip);
    member.http.port = (uint16_t)(2000 + boot);
    return member;
}

bool seen_value_is(const struct seen_answer *answer, const char *text)
{
    return answer->value_length == strlen(text) &&
           memcmp(answer->value, text, answer->value_length) == 0;
}

bool seen_mark_is(const struct seen_answer *answer, const char *text)
{
    return answer->mark_length == strlen(text) &&
           memcmp(answer->mark, text, answer->mark_length) == 0;
}
