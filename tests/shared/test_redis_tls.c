/* A server with certificates of this test's own CA, made by the openssl program. */
#include "shared/redis_tls.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/shared/redis_fixture.h"

static struct redis_server server;
static char texts[5][96]; /* port, cert, key, ca, ... as arguments want them to stay */

static const char make_certificates[] =
    "cd %s && exec >log.openssl 2>&1 && set -e\n"
    "new() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \"$@\"; }\n"
    "for ca in ca other; do\n"
    "  new -x509 -days 2 -keyout $ca.key -out $ca.pem -subj /CN=$ca\n"
    "done\n"
    "printf 'subjectAltName=DNS:redis.test' >names\n"
    "for who in server client; do\n"
    "  new -keyout $who.key -out $who.csr -subj /CN=$who\n"
    "  openssl x509 -req -in $who.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \\\n"
    "    -extfile names -out $who.pem\n"
    "done\n";

static void begin(struct store_contract *contract)
{
    char script[sizeof make_certificates + sizeof server.folder];
    (void)snprintf(server.folder, sizeof server.folder, "/tmp/holdfast-tls.XXXXXX");
    cr_assert_not_null(mkdtemp(server.folder));
    (void)snprintf(script, sizeof script, make_certificates, server.folder);
    cr_assert_eq(system(script), 0);
    server.port = redis_server_port();
    (void)snprintf(texts[0], sizeof texts[0], "%u", server.port);
    (void)snprintf(texts[1], sizeof texts[1], "%s/server.pem", server.folder);
    (void)snprintf(texts[2], sizeof texts[2], "%s/server.key", server.folder);
    (void)snprintf(texts[3], sizeof texts[3], "%s/ca.pem", server.folder);
    const char *arguments[] = {
        "--port",         "0",      "--tls-port",         texts[0], "--tls-cert-file", texts[1],
        "--tls-key-file", texts[2], "--tls-ca-cert-file", texts[3]};
    memcpy(server.arguments, arguments, sizeof arguments);
    redis_server_start(&server);
    cr_assert_eq(io_turn(contract->io, 0), STATUS_OK);
}

static void end(struct store_contract *contract)
{
    (void)contract;
    redis_server_remove(&server);
}

static const struct store_contract_engine engine = {
    .name = "redis by TLS", .is_shared = true, .begin = begin, .end = end};

/* FOLDER in the parameters is the server's. */
static void open_with(struct fixture *fixture, const char *parameters)
{
    char filled[256] = "";
    const char *at = parameters, *found;
    while ((found = strstr(at, "FOLDER"))) {
        size_t length = strlen(filled);
        (void)snprintf(filled + length, sizeof filled - length, "%.*s%s", (int)(found - at), at,
                       server.folder);
        at = found + strlen("FOLDER");
    }
    size_t length = strlen(filled);
    (void)snprintf(filled + length, sizeof filled - length, "%s", at);
    int needed = snprintf(fixture->contract.url, sizeof fixture->contract.url,
                          "rediss://127.0.0.1:%u?%s", server.port, filled);
    cr_assert_lt(needed, (int)sizeof fixture->contract.url);
    fixture->store = contract_open(&fixture->contract);
}

#define CLIENT "&cert=FOLDER/client.pem&key=FOLDER/client.key"

Test(redis_tls, certificates_of_both_sides)
{
    struct fixture fixture;
    store_contract_begin(&fixture.contract, &engine);
    open_with(&fixture, "ca=FOLDER/ca.pem&sni=redis.test" CLIENT);
    cr_assert_eq(try_create(&fixture, "abc"), STORE_OK);
    cr_assert_null(store_trouble(fixture.store));
    /* More than one TLS record in both directions. */
    struct store_contract *contract = &fixture.contract;
    for (int i = 0; i < 500; i++) {
        struct store_exchange exchange = {.slot = (uint8_t)(i % COAP_EXCHANGES_PER_PEER_MAX),
                                          .value = contract_octets("a reply of some length")};
        char cid[16];
        (void)snprintf(cid, sizeof cid, "s%d", i);
        const struct store_session session = {contract_octets("keys"), contract_octets(""), NULL};
        struct store_waiter waiter = contract_waiter(contract, cid);
        contract_asked(contract, store_create_session(fixture.store, &session, &waiter));
        waiter = contract_waiter(contract, cid);
        contract_asked(contract, store_save_exchange(fixture.store, 1, &exchange,
                                                     contract_octets("event"), &waiter));
        waiter = contract_waiter(contract, cid);
        contract_asked(contract, store_claim_session(fixture.store, 1, &waiter));
    }
    contract_settle(contract);
    cr_assert_eq(contract_counted(contract, METRIC_STORE_UNAVAILABLE), 0u);
    store_contract_end(&fixture.contract);
}

static void check_refusal(const char *parameters, const char *words)
{
    struct fixture fixture;
    store_contract_begin(&fixture.contract, &engine);
    open_with(&fixture, parameters);
    cr_assert_eq(try_create(&fixture, "abc"), STORE_UNAVAILABLE);
    wait_for(&fixture, words);
    store_contract_end(&fixture.contract);
}

Test(redis_tls, certificate_of_another_ca)
{
    check_refusal("ca=FOLDER/other.pem&sni=redis.test" CLIENT, "TLS failed (");
}

Test(redis_tls, certificate_of_another_name)
{
    check_refusal("ca=FOLDER/ca.pem&sni=other.test" CLIENT, "TLS failed (hostname mismatch)");
}

Test(redis_tls, certificate_without_the_address)
{
    check_refusal("ca=FOLDER/ca.pem" CLIENT, "TLS failed (IP address mismatch)");
}

Test(redis_tls, client_without_a_certificate)
{
    check_refusal("ca=FOLDER/ca.pem&sni=redis.test", "redis: ");
}

Test(redis_tls, files_that_are_not_there)
{
    static const char *const urls[] = {
        "rediss://h?ca=/nowhere/ca.pem",
        "rediss://h?cert=/nowhere/cert.pem&key=/nowhere/key.pem",
    };
    for (size_t i = 0; i < 2; i++) {
        const struct store_options options = {.url = urls[i]};
        struct store *store;
        char why[256] = "";
        cr_assert_eq(store_open(&store, &options, why, sizeof why), STATUS_SYSTEM);
        cr_assert_not_null(strstr(why, "/nowhere/c"), "%s", why);
    }
}
