#include "worker/coap_peer.h"

#include "shared/cursor.h"

uint64_t coap_peer_hash(const struct hash_key *key, const struct coap_peer *peer)
{
    uint8_t bytes[8 + ADDRESS_WIRE_SIZE];
    struct writer writer = writer_over(bytes, sizeof bytes);
    writer_u64(&writer, peer->session_id);
    if (peer->session_id == 0)
        address_write(&writer, &peer->path.address);
    return hash_bytes(key, bytes, writer_length(&writer));
}

bool coap_peer_equal(const struct coap_peer *a, const struct coap_peer *b)
{
    return a->session_id == b->session_id &&
           (a->session_id != 0 || address_equal(&a->path.address, &b->path.address));
}
