#include "tests/worker/ask.h"
#include "tests/worker/named_session.h"
#include "worker/whoami.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <string.h>

static union named_session named;

static struct session *settled(void)
{
    struct session *session = &named.session;
    *session = (struct session){.id = 1};
    named_session_set(&named, "sensor-7", 8);
    cr_assert_eq(address_parse(&session->path.address, "192.0.2.1:40000"), STATUS_OK);
    return session;
}

static struct session *moved(void)
{
    struct session *session = settled();
    session->own_cid = (struct cid){8, {0x07, 0x20, 0xb1, 0xd0, 0x7b, 0x35, 0x9d, 0x3c}};
    session->uses_cid = true;
    session->peer_cid = (struct cid){2, {0x00, 0xff}};
    session->previous_address = session->path.address;
    session->address_changes = 3;
    cr_assert_eq(address_parse(&session->path.address, "[2001:db8::1]:40001"), STATUS_OK);
    return session;
}

static void ask_as(struct session *session, uint16_t format, struct answer *answer)
{
    struct coap_peer peer = {.session_id = 1, .session = session};
    struct resource_call call = {.peer = &peer, .format = format, .worker_id = 513};
    struct ask ask = {.uri = "/whoami"};
    ask_handler(&ask, &call, whoami_get, answer);
    cr_assert(answer->fits);
    cr_assert_eq(answer->reply.code, CODE_CONTENT);
    cr_assert_eq(answer->reply.format, format);
}

Test(whoami, text_without_cids_and_changes)
{
    struct session *session = settled();
    struct answer answer;
    ask_as(session, FORMAT_TEXT, &answer);
    cr_assert_str_eq(answer.payload, "identity=sensor-7\n"
                                     "cipher_suite=TLS_PSK_WITH_AES_128_CCM_8\n"
                                     "worker=513\n"
                                     "address=192.0.2.1:40000\n"
                                     "address_changes=0\n");
}

Test(whoami, text_with_all)
{
    struct session *session = moved();
    struct answer answer;
    ask_as(session, FORMAT_TEXT, &answer);
    cr_assert_str_eq(answer.payload, "identity=sensor-7\n"
                                     "cipher_suite=TLS_PSK_WITH_AES_128_CCM_8\n"
                                     "server_cid=0720b1d07b359d3c\n"
                                     "client_cid=00ff\n"
                                     "worker=513\n"
                                     "address=[2001:db8::1]:40001\n"
                                     "previous_address=192.0.2.1:40000\n"
                                     "address_changes=3\n");
}

Test(whoami, identity_that_is_no_text)
{
    struct session *session = settled();
    struct answer answer;
    named_session_set(&named, "a\0\n\xff", 4);
    ask_as(session, FORMAT_JSON, &answer);
    json_t *map = json_loadb(answer.payload, answer.payload_length, 0, NULL);
    cr_assert_not_null(map);
    cr_assert_str_eq(json_string_value(json_object_get(map, "identity")), "61000aff");
    json_decref(map);
    ask_as(session, FORMAT_CBOR, &answer);
    cr_assert_eq(memcmp(answer.payload,
                        "\xa5\x68identity\x44"
                        "a\0\n\xff",
                        15),
                 0);
}

Test(whoami, the_longest_fits_a_message)
{
    static const uint16_t formats[] = {FORMAT_TEXT, FORMAT_JSON, FORMAT_CBOR};
    struct session *session = moved();
    uint8_t octets[IDENTITY_LENGTH_MAX];
    memset(octets, 0xff, sizeof octets);
    named_session_set(&named, octets, sizeof octets);
    session->own_cid.length = CID_LENGTH_MAX;
    session->peer_cid.length = CID_LENGTH_MAX;
    session->address_changes = UINT16_MAX;
    for (size_t i = 0; i < 3; i++) {
        struct answer answer;
        ask_as(session, formats[i], &answer);
        cr_expect_lt(answer.payload_length, COAP_MESSAGE_SIZE_MAX / 2);
    }
}
