/* The API, as far as it answers at once: what is read of a request, and whose session it is. What
 * waits for devices is in tests/system/test_device_observe.sh. */
#include "worker/api.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "shared/keys.h"
#include "tests/worker/coap_bench.h"

enum { US = 2 };

static struct coap_bench bench;
static struct client client;
static struct heirs heirs;
static struct api api;
static struct cid_config configs[CID_CONFIGS_MAX];
static bool is_here;
static enum status claim_status;
static size_t claims;
static struct http_reply reply;

static bool find(void *owner, const struct cid *cid, struct coap_peer *peer)
{
    cr_assert_eq(owner, &api);
    (void)cid;
    *peer = bench.secured;
    return is_here;
}

static enum status claim(void *owner, const struct cid *cid)
{
    (void)owner;
    (void)cid;
    claims++;
    return claim_status;
}

static void begin(void)
{
    const struct cluster_key cluster = {{1}};
    uint8_t secret[CID_KEY_SIZE], id = 0;
    coap_bench_open(&bench, 64);
    coap_turn(bench.coap, coap_bench_now(1000));
    const struct client_options options = {.coap = bench.coap, .hash_key = {1, 2}, .seed = 3};
    cr_assert_eq(client_init(&client, &options, 1000), STATUS_OK);
    cr_assert_eq(keys_derive(&cluster, KEY_CID, &id, 1, secret, sizeof(secret)), STATUS_OK);
    cr_assert_eq(cid_config_init(&configs[0], 0, 2, 5, secret), STATUS_OK);
    const struct heirs_options of_heirs = {.configs = configs, .worker_id = US};
    cr_assert_eq(heirs_init(&heirs, &of_heirs, 1000), STATUS_OK);
    for (uint16_t worker = 1; worker <= 3; worker++) {
        heirs.members.ids[worker - 1] = worker;
        cr_assert_eq(address_parse(&heirs.members.https[worker - 1], "192.0.2.1:8080"), STATUS_OK);
    }
    heirs.members.count = 3;
    const struct api_options of_api = {.client = &client,
                                       .heirs = &heirs,
                                       .metrics = &bench.metrics,
                                       .worker_id = US,
                                       .find = find,
                                       .claim = claim,
                                       .owner = &api};
    api_init(&api, &of_api);
    is_here = true;
    claims = 0;
}

static void end(void)
{
    free(reply.body.bytes);
    free(reply.location.bytes);
    api_free(&api);
    heirs_free(&heirs);
    cid_config_free(&configs[0]);
    client_free(&client);
    coap_bench_close(&bench);
}

/* %s in `path` stands for the CID of a session that was begun by the worker. */
static enum http_outcome ask(enum http_method method, uint16_t worker, const char *path,
                             const char *content_type, const char *body)
{
    const uint8_t id[2] = {0, (uint8_t)worker}, nonce[5] = {9};
    struct cid cid;
    char hex[2 * CID_LENGTH_MAX + 1] = "", target[512];
    cr_assert_eq(cid_encode(&configs[0], id, nonce, &cid), STATUS_OK);
    for (size_t i = 0; i < cid.length; i++)
        snprintf(hex + 2 * i, 3, "%02x", cid.bytes[i]);
    snprintf(target, sizeof(target), "/api/v1/sessions/%s%s", hex, path);
    const struct http_request request = {
        .method = method,
        .target = target,
        .content_type = content_type,
        .body = {(const uint8_t *)body, strlen(body)},
    };
    free(reply.body.bytes);
    free(reply.location.bytes);
    reply = (struct http_reply){.status = 200};
    return api_serve(&api, &request, &reply);
}

Test(api, what_cannot_be_understood)
{
    static const struct {
        enum http_method method;
        const char *path, *content_type, *body;
        int status;
    } rows[] = {
        {HTTP_GET, "", NULL, "", 404},
        {HTTP_GET, "/else", NULL, "", 404},
        {HTTP_GET, "/resourcesx", NULL, "", 404},
        {HTTP_GET, "/resources/a%2", NULL, "", 400},
        {HTTP_GET, "/resources/a#b", NULL, "", 400},
        {HTTP_PUT, "/resources/a", "image/x-unknown", "x", 415},
        {HTTP_PUT, "/observations", NULL, "", 405},
        {HTTP_GET, "/observations/16", NULL, "", 405},
        {HTTP_DELETE, "/observations", NULL, "", 405},
        {HTTP_DELETE, "/observations/x", NULL, "", 404},
        {HTTP_DELETE, "/observations/16", NULL, "", 404},
        {HTTP_POST, "/observations", NULL, "", 400},
        {HTTP_POST, "/observations", NULL, "[]", 400},
        {HTTP_POST, "/observations", NULL, "{\"path\":7}", 400},
        {HTTP_POST, "/observations", NULL, "{\"path\":\"a\"}", 400},
        {HTTP_POST, "/observations", NULL, "{\"path\":\"/a\",\"accept\":\"no/such\"}", 400},
    };
    begin();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cr_expect_eq(ask(rows[i].method, US, rows[i].path, rows[i].content_type, rows[i].body),
                     HTTP_DONE);
        cr_expect_eq(reply.status, rows[i].status, "row %zu: %d", i, reply.status);
        cr_expect_str_eq(reply.content_type, "application/problem+json");
    }
    cr_expect_eq(bench.sent_count, 0);
    end();
}

Test(api, requests_become_messages)
{
    struct message message;
    begin();
    cr_assert_eq(ask(HTTP_PUT, US, "/resources/3303/0?x", "application/json", "{}"), HTTP_LATER);
    coap_bench_take(&bench, &message);
    cr_expect_eq(message.code, CODE_PUT);
    cr_expect_eq(message.option_count, 4);
    cr_expect_eq(message_option_number(&message.options[2]), 50);
    cr_expect_eq(message.payload_length, 2);
    cr_expect_eq(api.waiting, 1);
    end();
}

Test(api, an_empty_list)
{
    begin();
    cr_assert_eq(ask(HTTP_GET, US, "/observations", NULL, ""), HTTP_DONE);
    cr_expect_eq(reply.status, 200);
    cr_expect_str_eq(reply.body.bytes, "[]\n");
    end();
}

Test(api, another_workers_session)
{
    begin();
    is_here = false;
    cr_assert_eq(ask(HTTP_GET, 3, "/resources/a?b", NULL, ""), HTTP_DONE);
    cr_expect_eq(reply.status, 307);
    cr_expect_eq(strncmp(reply.location.bytes, "http://192.0.2.1:8080/api/v1/sessions/", 38), 0);
    cr_expect_not_null(strstr(reply.location.bytes, "/resources/a?b"));
    cr_expect_eq(claims, 0);
    end();
}

Test(api, a_session_that_is_in_the_store_only)
{
    begin();
    is_here = false;
    claim_status = STATUS_FULL;
    cr_assert_eq(ask(HTTP_GET, US, "/resources/a", NULL, ""), HTTP_DONE);
    cr_expect_eq(reply.status, 503);
    claim_status = STATUS_OK;
    cr_assert_eq(ask(HTTP_PUT, US, "/resources/a", NULL, "body"), HTTP_LATER);
    cr_expect_eq(claims, 2);
    cr_expect_eq(api.waiting, 1);
    end();
}

Test(api, bounded)
{
    begin();
    is_here = false;
    claim_status = STATUS_EXISTS;
    for (size_t i = 0; i < API_WAITING_MAX; i++)
        cr_assert_eq(ask(HTTP_GET, US, "/resources/a", NULL, ""), HTTP_LATER);
    cr_assert_eq(ask(HTTP_GET, US, "/resources/a", NULL, ""), HTTP_DONE);
    cr_expect_eq(reply.status, 503);
    cr_expect_eq(coap_bench_count(&bench, WORKER_API_REFUSED), 1);
    end();
}
