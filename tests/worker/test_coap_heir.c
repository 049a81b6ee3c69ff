/* A session and its heir, with the memory engine between them: what one worker was told to save is
 * what the other is given. */
#include "shared/store.h"
#include "tests/worker/coap_bench.h"

#include <criterion/criterion.h>

static const struct cid cid = {8, {0x07, 0x20, 0xb1, 0xd0, 0x7b, 0x35, 0x9d, 0x3c}};

struct scene {
    struct store *store;
    struct coap_bench first;
    struct coap_bench heir;
    uint64_t fence;
    size_t restored;
};

static void keep_fence(void *owner, const struct store_answer *answer)
{
    struct scene *scene = owner;
    cr_assert_eq(answer->outcome, STORE_OK);
    scene->fence = answer->fence;
}

static void confirm(void *owner, const struct store_answer *answer)
{
    struct scene *scene = owner;
    cr_assert_eq(answer->outcome, STORE_OK);
    cr_expect_eq(coap_bench_commit(&scene->first, (uint16_t)answer->tag, COAP_STORED, answer->tag),
                 COAP_REPLY);
}

static void adopt(void *owner, const struct store_answer *answer)
{
    struct scene *scene = owner;
    keep_fence(owner, answer);
    scene->restored = answer->exchange_count;
    for (size_t i = 0; i < answer->exchange_count; i++)
        cr_expect_eq(coap_restore(scene->heir.coap, scene->heir.secured.session_id,
                                  coap_bench_now(50), answer->exchanges[i].value),
                     STATUS_OK);
}

static void save(struct scene *scene, uint16_t id)
{
    const struct ask ask = {.code = CODE_POST, .id = id, .uri = "/events", .payload = "on"};
    const struct store_waiter waiter = {confirm, scene, cid, id};
    cr_assert_eq(coap_bench_ask(&scene->first, &scene->first.secured, id, &ask), COAP_COMMIT);
    const struct coap_commit *commit = &scene->first.commit;
    const struct store_exchange exchange = {.slot = commit->slot, .value = commit->value};
    cr_assert_eq(store_save_exchange(scene->store, scene->fence, &exchange, commit->event, &waiter),
                 STATUS_OK);
}

Test(coap_heir, repeats_what_the_store_was_given)
{
    enum { COUNT = COAP_EXCHANGES_PER_PEER_MAX + 4 };
    struct scene scene = {0};
    char why[256];
    const struct store_options options = {
        .url = "memory:", .session_ttl_s = 3600, .member_ttl_ms = 1000};
    const struct store_session session = {.sealed = {(const uint8_t *)"sealed", 6}};
    const struct store_waiter create = {keep_fence, &scene, cid, 0};
    const struct store_waiter claim = {adopt, &scene, cid, 0};
    cr_assert_eq(store_open(&scene.store, &options, why, sizeof why), STATUS_OK);
    coap_bench_open(&scene.first, 64);
    coap_bench_open(&scene.heir, 64);
    cr_assert_eq(store_create_session(scene.store, &session, &create), STATUS_OK);
    (void)store_run(scene.store, 0);
    for (uint16_t id = 1; id <= COUNT; id++) {
        save(&scene, id);
        (void)store_run(scene.store, id);
    }
    cr_assert_eq(store_claim_session(scene.store, 2, &claim), STATUS_OK);
    (void)store_run(scene.store, 50);
    cr_expect_eq(scene.restored, COAP_EXCHANGES_PER_PEER_MAX);
    for (uint16_t id = COUNT; id > COUNT - COAP_EXCHANGES_PER_PEER_MAX; id--) {
        const struct ask ask = {.code = CODE_POST, .id = id, .uri = "/events", .payload = "on"};
        cr_expect_eq(coap_bench_ask(&scene.heir, &scene.heir.secured, 60, &ask), COAP_REPLY);
        cr_assert_eq(coap_bench_ask(&scene.first, &scene.first.secured, 60, &ask), COAP_REPLY);
        cr_expect_eq(scene.heir.reply_length, scene.first.reply_length);
        cr_expect_arr_eq(scene.heir.reply, scene.first.reply, scene.first.reply_length);
    }
    cr_expect_eq(coap_bench_count(&scene.heir, WORKER_COAP_REQUESTS), 0, "nothing was done again");
    coap_bench_close(&scene.heir);
    coap_bench_close(&scene.first);
    store_free(scene.store);
}
