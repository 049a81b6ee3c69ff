/* The scripts that a Redis runs for the store: each one is one atomic step. They are loaded when a
 * connection is made, and again when the server says NOSCRIPT.
 *
 * Keys, with PREFIX from the URL, TAG two hex digits of the CID's CRC16, in one hash slot:
 *   PREFIX:{TAG}:sCID   a session, one string: version 1 ‖ fence 8 ‖ owner 2 ‖ next number 8
 *                       ‖ created, ms 8 ‖ address length 1 (0 or 26) ‖ room 1 ‖ mark length 1
 *                       ‖ mark, `room` octets ‖ [address 18 ‖ renewed, ms 8] ‖ rest; rest of
 *                       version 1: sealed; of version 2, which has relations: sealed length 2
 *                       ‖ sealed ‖ (slot 1 ‖ length 2 ‖ value)...
 *   PREFIX:{TAG}:xCID   its exchanges, a hash: slot -> runs out, ms 8 ‖ value
 *   PREFIX:{TAG}:o      the CIDs of the tag's sessions that have relations, a set
 *   PREFIX:{TAG}:log    the events of the tag's sessions, a stream of fields "e"
 * and in slots of their own:
 *   PREFIX:aADDRESS     the CID of the session at an address
 *   PREFIX:iIDENTITY    an identity's sealed key
 *   PREFIX:{m}:members  a hash: worker id -> runs out, ms 8 ‖ boot 12 ‖ state 1 ‖ link ‖ http
 *   PREFIX:{m}:nonceN   the counter of CID config N
 *   PREFIX:{t}:topics   a hash: name -> version 1 ‖ number 8 of its latest change ‖ value
 *   PREFIX:{t}:names    the names, a sorted set of equal scores
 *   PREFIX:{t}:changes  a sorted set: name -> number of its latest change, of removed ones too
 *   PREFIX:{t}:gone     those of `changes` that are removals
 *   PREFIX:{t}:state    a hash: n -> the newest number, lost -> the newest one of a removal that is
 *                       forgotten
 * A set has no TTL. A session that has run out leaves it after the next claim, which is in vain;
 * one that is removed, after its removal: by a command of its own, since a set may be in the other
 * half of a slot that moves. Time is the server's. The mark has a fixed room so that saving it
 * moves nothing.
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
    REDIS_CLAIM,        /* keys session, exchanges; ttl ms, lease, reserved, owner 2
                           -> fence 8 ‖ first 8 ‖ mark length 1 ‖ mark ‖ sealed length 2 ‖ sealed
                           ‖ length of relations 2 ‖ relations, as they are stored
                           ‖ (slot 1 ‖ length 2 ‖ value)... */
    REDIS_LEASE,        /* key session; ttl ms, lease, reserved, fence -> first 8 */
    REDIS_MARKS,        /* keys sessions; ttl ms, (fence, mark)... -> an entry each */
    REDIS_EXCHANGE,     /* keys session, exchanges, log; ttl ms, fence, slot, value, lifetime ms,
                           event or "", events kept, mark or "", where an exchange's name is, its
                           length -> "d" if that was there already */
    REDIS_RELATION,     /* keys session, set, log; ttl ms, fence, slot, value or "", cid, event or
                           "", events kept */
    REDIS_OBLIGED,      /* key set; cursor, members -> cursor 8 ‖ (length 1 ‖ cid)... */
    REDIS_REMOVE,       /* keys session, exchanges; fence -> 1 if it had relations, or 0, in 1; the
                           address always */
    REDIS_ADDRESS_KEEP, /* key address; cid, ttl ms */
    REDIS_ADDRESS_DROP, /* key address; cid */
    REDIS_JOIN,         /* key members; ttl ms, id or 0, boot, rest of the entry, ids -> id 2 */
    REDIS_BEAT,         /* key members; ttl ms, id, boot, rest of the entry */
    REDIS_LEAVE,        /* key members; id, boot */
    REDIS_MEMBERS,      /* key members -> (id 2 ‖ boot ‖ rest)... */
    REDIS_TOPIC_PUT,    /* keys topics, changes, names, gone, state; mode c, u or e, name, value,
                           topics -> number 8 */
    REDIS_TOPIC_REMOVE, /* keys as for a put; name, tombstones -> number 8 */
    REDIS_TOPICS,       /* key names; after or "", names -> (length 1 ‖ name)... */
    REDIS_CHANGES,      /* keys changes, state; after, names -> newest 8 ‖ lost 8
                           ‖ (number 8 ‖ length 1 ‖ name)... */
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
