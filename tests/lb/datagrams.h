/* Datagrams that the tests of the lb put together: DTLS records with and without a CID. */
#ifndef HOLDFAST_TESTS_LB_DATAGRAMS_H
#define HOLDFAST_TESTS_LB_DATAGRAMS_H

#include "shared/address.h"
#include "shared/cid.h"
#include "shared/cursor.h"

/* A DTLS 1.2 record without CID. */
void datagram_plain(struct writer *writer, uint8_t type, uint16_t epoch, const void *content,
                    size_t length);
/* One that starts a handshake; the ClientHello's rest is no concern of an lb. */
void datagram_client_hello(struct writer *writer);
/* A tls12_cid record with a payload of 20 octets. */
void datagram_cid(struct writer *writer, const uint8_t *cid, size_t cid_length);
/* A DTLS 1.3 record, with sequence of 16 bits and a length; cid_length 0: without the C bit. */
void datagram_unified(struct writer *writer, const uint8_t *cid, size_t cid_length);

/* Config `id` for CIDs of `cid_length` octets under the cluster key of all `key` octets, as an lb
 * derives it. */
void config_make(struct cid_config *configs, uint8_t id, size_t cid_length, uint8_t key);
/* A CID of that config. */
struct cid config_cid(struct cid_config *configs, uint8_t id, uint16_t worker, uint32_t nonce);
void configs_free(struct cid_config *configs);

/* 10.0.0.0/8 or 2001:db8::/32, the number below: sources as many as wanted. */
struct address source_v4(uint32_t number, uint16_t port);
struct address source_v6(uint64_t network, uint16_t port);

#endif
