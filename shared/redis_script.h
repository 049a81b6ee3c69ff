/* The scripts that a Redis runs for the store: each one is one atomic step. They are loaded when a
 * connection is made, and again when the server says NOSCRIPT.
 *
 * Keys, with PREFIX from the URL, TAG two hex digits of the CID's CRC16, in one hash slot:
 *   PREFIX:{TAG}:sCID   a session, one string: version 1 ‖ fence 8 ‖ owner 2 ‖ next number 8
 *                       ‖ created, ms 8 ‖ address length 1 (0 or 26) ‖ room 1 ‖ mark length 1
 *                       ‖ mark, `room` octets ‖ [address 18 ‖ renewed, ms 8] ‖ sealed
 *   PREFIX:{TAG}:xCID   its exchanges, a hash: slot -> runs out, ms 8 ‖ value
 *   PREFIX:{TAG}:log    the events of the tag's sessions, a stream of fields "e"
 * and in slots of their own:
 *   PREFIX:aADDRESS     the CID of the session at an address
 *   PREFIX:iIDENTITY    an identity's sealed key
 *   PREFIX:{m}:members  a hash: worker id -> runs out, ms 8 ‖ boot 12 ‖ state 1 ‖ link ‖ http
 *   PREFIX:{m}:nonceN   the counter of CID config N
 * Time is the server's. The mark has a fixed room so that saving it moves nothing.
 *
 * A script answers with one string of entries: status 1, one of enum redis_word, and behind
 * REDIS_WORD_OK the length 1 and octets of an address whose key wants renewal, then what is named
 * at the script. */
#ifndef HOLDFAST_SHARED_REDIS_SCRIPT_H
#define HOLDFAST_SHARED_REDIS_SCRIPT_H

#include "shared/status.h"

enum redis_script {
    REDIS_CREATE,       /* key session; ttl ms, lease, reserved, sealed, mark, address or ""
                           -> fence 8 ‖ first 8 */
    REDIS_CLAIM,        /* keys session, exchanges; ttl ms, lease, reserved, owner 2 -> fence 8
                           ‖ first 8 ‖ mark length 1 ‖ mark ‖ sealed length 2 ‖ sealed
                           ‖ (slot 1 ‖ length 2 ‖ value)... */
    REDIS_LEASE,        /* key session; ttl ms, lease, reserved, fence -> first 8 */
    REDIS_MARKS,        /* keys sessions; ttl ms, (fence, mark)... -> an entry each */
    REDIS_EXCHANGE,     /* keys session, exchanges, log; ttl ms, fence, slot, value, lifetime ms,
                           event or "", events kept */
    REDIS_REMOVE,       /* keys session, exchanges; fence -> nothing; the address always */
    REDIS_ADDRESS_KEEP, /* key address; cid, ttl ms */
    REDIS_ADDRESS_DROP, /* key address; cid */
    REDIS_JOIN,         /* key members; ttl ms, id or 0, boot, rest of the entry, ids -> id 2 */
    REDIS_BEAT,         /* key members; ttl ms, id, boot, rest of the entry */
    REDIS_LEAVE,        /* key members; id, boot */
    REDIS_MEMBERS,      /* key members -> (id 2 ‖ boot ‖ rest)... */
    REDIS_SCRIPTS,
};

enum redis_word {
    REDIS_WORD_OK = 'k',
    REDIS_WORD_NOT_FOUND = 'n',
    REDIS_WORD_EXISTS = 'e',
    REDIS_WORD_STALE = 's',
    REDIS_WORD_EXHAUSTED = 'x',
    REDIS_WORD_UNREADABLE = 'v', /* a record of another version, or cut short */
};

#define REDIS_SHA_LENGTH 40
struct redis_script_ids {
    char sha[REDIS_SCRIPTS][REDIS_SHA_LENGTH + 1]; /* hex SHA-1, as EVALSHA wants it */
};

const char *redis_script_text(enum redis_script script);
MUST_USE enum status redis_script_ids_init(struct redis_script_ids *ids);

#endif
