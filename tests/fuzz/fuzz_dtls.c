/* A worker's DTLS endpoint with a session, an open handshake and a session of somebody else, which
 * must not feel anything. The input is a row of steps: what 1 ‖ length 2 ‖ octets.
 *   what & 3: 0 a datagram from the session's address, 1 one from the handshake's,
 *             2 one from an address of nobody, 3 not a datagram:
 *   what & 4: content sealed by the session's client, its type in the first octet;
 *   else      time passes, a quarter of a second for each octet. */
#include "tests/fuzz/fuzz.h"

#include "shared/cursor.h"
#include "tests/worker/endpoint.h"
#include "tests/worker/peer.h"

#include <stdlib.h>

#define STEPS_MAX 64

enum { FROM_SESSION, FROM_HANDSHAKE, FROM_NOBODY, NO_DATAGRAM, SEALED = 4 };

static struct endpoint endpoint;
static struct peer device, greeting, bystander;

static void open_all(void)
{
    endpoint_open(&endpoint, &(struct endpoint_options){0});
    peer_open(&device, &(struct peer_options){.cid = true, .cid_length = 2});
    peer_open(&greeting, &(struct peer_options){.cid = true, .address = endpoint_address(2, 2222)});
    peer_open(&bystander, &(struct peer_options){.identity = ENDPOINT_IDENTITY2,
                                                 .address = endpoint_address(3, 3333)});
    if (!peer_connect(&device, &endpoint) || !peer_connect(&bystander, &endpoint) ||
        !peer_converses(&bystander, &endpoint))
        abort();
    peer_step(&greeting);
    peer_deliver(&greeting, &endpoint);
    peer_collect(&greeting, &endpoint);
    peer_step(&greeting);
    peer_deliver(&greeting, &endpoint);
}

static void close_all(void)
{
    peer_close(&device);
    peer_close(&greeting);
    peer_close(&bystander);
    endpoint_close(&endpoint);
}

static void seal_and_send(const uint8_t *bytes, size_t length)
{
    uint8_t record[DATAGRAM_SIZE_MAX];
    if (length == 0 || length > COAP_MESSAGE_SIZE_MAX)
        return;
    size_t record_length =
        peer_seal(&device, bytes[0], bytes + 1, length - 1, record, sizeof(record));
    endpoint_receive(&endpoint, &device.address, record, record_length);
}

static void take_step(uint8_t what, const uint8_t *bytes, size_t length)
{
    const struct address nobody = endpoint_address(4, (uint16_t)(4000 + what));
    switch (what & 3) {
    case FROM_SESSION:
        endpoint_receive(&endpoint, &device.address, bytes, length);
        break;
    case FROM_HANDSHAKE:
        endpoint_receive(&endpoint, &greeting.address, bytes, length);
        break;
    case FROM_NOBODY:
        endpoint_receive(&endpoint, &nobody, bytes, length);
        break;
    case NO_DATAGRAM:
        if (what & SEALED)
            seal_and_send(bytes, length);
        else
            endpoint_run(&endpoint, 250 * length);
        break;
    }
    if (endpoint.receiver)
        dtls_send(endpoint.dtls, endpoint.receiver, bytes, length);
    endpoint.receiver = NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor cursor = cursor_over(data, size);
    open_all();
    for (int step = 0; step < STEPS_MAX && cursor_left(&cursor) > 0; step++) {
        uint8_t what = cursor_u8(&cursor);
        size_t length = cursor_u16(&cursor);
        if (length > cursor_left(&cursor))
            length = cursor_left(&cursor);
        const uint8_t *bytes = cursor_bytes(&cursor, length);
        if (bytes)
            take_step(what, bytes, length);
    }
    endpoint_run(&endpoint, 1);
    datagrams_clear(&endpoint.sent);
    if (!peer_converses(&bystander, &endpoint))
        abort();
    endpoint_run(&endpoint, HANDSHAKE_LIFETIME_MS);
    if (endpoint_handshakes(&endpoint) > 0)
        abort();
    close_all();
    return 0;
}
