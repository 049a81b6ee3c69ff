#include "shared/redis_script.h"

#include <stdio.h>
#include <string.h>

#include <openssl/evp.h>

/* Numbers in Lua are doubles: exact to 2^53, and sequence numbers end at 2^48. */
#define COMMON                                                      \
    "local call, byte, sub = redis.call, string.byte, string.sub\n" \
    "local pack, unpack = struct.pack, struct.unpack\n"             \
    "local function now()\n"                                        \
    "  local t = call('TIME')\n"                                    \
    "  return t[1] * 1000 + math.floor(t[2] / 1000)\n"              \
    "end\n"                                                         \
    "local function ok(address)\n"                                  \
    "  return 'k' .. string.char(#address) .. address\n"            \
    "end\n"

/* The head of a session that is there, readable and, where a fence is given, the asker's; else nil
 * and why. */
#define HEAD                                                                   \
    "local function head(key, fence)\n"                                        \
    "  local h = call('GETRANGE', key, 0, 29)\n"                               \
    "  if #h == 0 then return nil, 'n' end\n"                                  \
    "  if #h < 30 or byte(h) ~= 1 and byte(h) ~= 2 then return nil, 'v' end\n" \
    "  if sub(h, 2, 9) ~= fence then return nil, 's' end\n"                    \
    "  return h\n"                                                             \
    "end\n"

/* The key of an address is in a slot of its own, where this script may not go. So it is renewed by
 * a second call, once in a quarter of the TTL. */
#define DUE                                                        \
    "local function due(key, alen, room, ttl)\n"                   \
    "  if alen ~= 26 then return '' end\n"                         \
    "  local at = 30 + room\n"                                     \
    "  local a = call('GETRANGE', key, at, at + 25)\n"             \
    "  if #a < 26 then return '' end\n"                            \
    "  local t = now()\n"                                          \
    "  if t - unpack('>I8', a, 19) < ttl / 4 then return '' end\n" \
    "  call('SETRANGE', key, at + 18, pack('>I8', t))\n"           \
    "  return sub(a, 1, 18)\n"                                     \
    "end\n"

/* The first number of a fresh block. Besides `next` it is held above a line that rises by a block a
 * second, so that a block that was granted and then lost (a failover to a replica that had not
 * heard of it) is not granted again. 2^48 numbers last for two thousand years of it. */
#define BLOCK                                                                   \
    "local function block(next, created, lease, reserved)\n"                    \
    "  local floor = reserved + lease * math.floor((now() - created) / 1000)\n" \
    "  local first = math.max(next, floor)\n"                                   \
    "  if first + lease > 281474976710656 then return nil end\n"                \
    "  return first\n"                                                          \
    "end\n"

/* A change of a topic: its number is the time, or the next if that is taken, so that it rises even
 * over changes that a failover has lost. What is stored under a name is strange if it is of another
 * version. */
#define CHANGE                                                  \
    "local function change(name)\n"                             \
    "  local n = tonumber(call('HGET', KEYS[5], 'n') or 0)\n"   \
    "  n = math.max(n + 1, now())\n"                            \
    "  call('HSET', KEYS[5], 'n', string.format('%.0f', n))\n"  \
    "  call('ZADD', KEYS[2], string.format('%.0f', n), name)\n" \
    "  return n\n"                                              \
    "end\n"                                                     \
    "local function strange(old)\n"                             \
    "  return old and (#old < 9 or byte(old) ~= 1)\n"           \
    "end\n"

/* Where the mark outgrows its room, the session is written anew. Returns the room it has now. */
#define MARK                                                                                \
    "local function mark(key, h, room, mark, ttl)\n"                                        \
    "  if #mark <= room then\n"                                                             \
    "    call('SETRANGE', key, 29, string.char(#mark) .. mark)\n"                           \
    "    call('PEXPIRE', key, ttl)\n"                                                       \
    "    return room\n"                                                                     \
    "  end\n"                                                                               \
    "  local rest = sub(call('GET', key), 31 + room)\n"                                     \
    "  call('SET', key, sub(h, 1, 28) .. string.char(#mark, #mark) .. mark .. rest, 'PX', " \
    "ttl)\n"                                                                                \
    "  return #mark\n"                                                                      \
    "end\n"

#define MEMBER                                                         \
    "local function live(id, t)\n"                                     \
    "  local v = call('HGET', KEYS[1], id)\n"                          \
    "  if v and #v == 57 and unpack('>I8', v) > t then return v end\n" \
    "end\n"

static const char *const texts[REDIS_SCRIPTS] = {
    [REDIS_CREATE] = COMMON
    "local ttl, lease, first = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])\n"
    "local sealed, mark, address = ARGV[4], ARGV[5], ARGV[6]\n"
    "if call('EXISTS', KEYS[1]) == 1 then return 'e' end\n"
    "local t = now()\n"
    "if #address > 0 then address = address .. pack('>I8', t) end\n"
    "local v = pack('>BI8I2I8I8BBB', 1, 1, 0, first + lease, t, #address, #mark, #mark)\n"
    "call('SET', KEYS[1], v .. mark .. address .. sealed, 'PX', ttl)\n"
    "return ok('') .. pack('>I8I8', 1, first)\n",

    [REDIS_CLAIM] = COMMON DUE BLOCK
    "local ttl, lease, reserved = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])\n"
    "local v = call('GET', KEYS[1])\n"
    "if not v then return 'n' end\n"
    "if #v < 30 or byte(v) ~= 1 and byte(v) ~= 2 then return 'v' end\n"
    "local version, fence, _, next, created, alen, room, length = unpack('>BI8I2I8I8BBB', v)\n"
    "if length > room or #v < 30 + room + alen then return 'v' end\n"
    "local sealed, relations = sub(v, 31 + room + alen), ''\n"
    "if version == 2 then\n"
    "  if #sealed < 2 then return 'v' end\n"
    "  local n = unpack('>I2', sealed)\n"
    "  if #sealed < 2 + n then return 'v' end\n"
    "  sealed, relations = sub(sealed, 3, 2 + n), sub(sealed, 3 + n)\n"
    "end\n"
    "local first = block(next, created, lease, reserved)\n"
    "if not first then return 'x' end\n"
    "fence = fence + 1\n"
    "call('SETRANGE', KEYS[1], 1, pack('>I8', fence) .. ARGV[4] .. "
    "pack('>I8', first + lease))\n"
    "call('PEXPIRE', KEYS[1], ttl)\n"
    "local out = {ok(due(KEYS[1], alen, room, ttl)), pack('>I8I8B', fence, first, length),\n"
    "  sub(v, 31, 30 + length), pack('>I2', #sealed), sealed, pack('>I2', #relations), relations}\n"
    "local all = call('HGETALL', KEYS[2])\n"
    "if #all > 0 then\n"
    "  local t = now()\n"
    "  for i = 1, #all, 2 do\n"
    "    local x = all[i + 1]\n"
    "    if #x >= 8 and unpack('>I8', x) > t then\n"
    "      out[#out + 1] = pack('>BI2', all[i], #x - 8) .. sub(x, 9)\n"
    "    end\n"
    "  end\n"
    "end\n"
    "return table.concat(out)\n",

    [REDIS_LEASE] = COMMON HEAD DUE BLOCK
    "local ttl, lease, reserved = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])\n"
    "local h, why = head(KEYS[1], ARGV[4])\n"
    "if not h then return why end\n"
    "local next, created, alen, room = unpack('>I8I8BB', h, 12)\n"
    "local first = block(next, created, lease, reserved)\n"
    "if not first then return 'x' end\n"
    "call('SETRANGE', KEYS[1], 11, pack('>I8', first + lease))\n"
    "call('PEXPIRE', KEYS[1], ttl)\n"
    "return ok(due(KEYS[1], alen, room, ttl)) .. pack('>I8', first)\n",

    [REDIS_MARKS] = COMMON HEAD DUE MARK "local ttl, out = tonumber(ARGV[1]), {}\n"
                                         "for i = 1, #KEYS do\n"
                                         "  local h, why = head(KEYS[i], ARGV[2 * i])\n"
                                         "  if not h then\n"
                                         "    out[i] = why\n"
                                         "  else\n"
                                         "    local alen, room = byte(h, 28, 29)\n"
                                         "    room = mark(KEYS[i], h, room, ARGV[2 * i + 1], ttl)\n"
                                         "    out[i] = ok(due(KEYS[i], alen, room, ttl))\n"
                                         "  end\n"
                                         "end\n"
                                         "return table.concat(out)\n",

    /* An exchange of the same name is this one, saved before: its event is in the log. */
    [REDIS_EXCHANGE] = COMMON HEAD DUE MARK
    "local ttl, lifetime = tonumber(ARGV[1]), tonumber(ARGV[5])\n"
    "local h, why = head(KEYS[1], ARGV[2])\n"
    "if not h then return why end\n"
    "local alen, room = byte(h, 28, 29)\n"
    "local t, known, at, size = now(), false, tonumber(ARGV[9]), tonumber(ARGV[10])\n"
    "if #ARGV[6] > 0 then\n"
    "  local name = sub(ARGV[4], at + 1, at + size)\n"
    "  for _, x in ipairs(call('HVALS', KEYS[2])) do\n"
    "    if #name == size and sub(x, at + 9, at + 8 + size) == name and\n"
    "      unpack('>I8', x) > t then known = true end\n"
    "  end\n"
    "end\n"
    "call('HSET', KEYS[2], ARGV[3], pack('>I8', t + lifetime) .. ARGV[4])\n"
    "call('PEXPIRE', KEYS[2], lifetime)\n"
    "if #ARGV[6] > 0 and not known then\n"
    "  call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[7], '*', 'e', ARGV[6])\n"
    "end\n"
    "if #ARGV[8] > 0 then\n"
    "  room = mark(KEYS[1], h, room, ARGV[8], ttl)\n"
    "else\n"
    "  call('PEXPIRE', KEYS[1], ttl)\n"
    "end\n"
    "return ok(due(KEYS[1], alen, room, ttl)) .. (known and 'd' or '')\n",

    /* In place where the length is as before, as that of a relation's number is; else the session
     * is written anew, with its relations behind it. */
    [REDIS_RELATION] = COMMON HEAD DUE
    "local key, ttl, slot, value = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[3]), ARGV[4]\n"
    "local h, why = head(key, ARGV[2])\n"
    "if not h then return why end\n"
    "local v, alen, room = call('GET', key), byte(h, 28, 29)\n"
    "local base, kept, place = 30 + room + alen, {}, nil\n"
    "local sealed, i = sub(v, base + 1), #v + 1\n"
    "if byte(h) == 2 then\n"
    "  if #sealed < 2 then return 'v' end\n"
    "  local n = unpack('>I2', sealed)\n"
    "  if #sealed < 2 + n then return 'v' end\n"
    "  sealed, i = sub(sealed, 3, 2 + n), base + 3 + n\n"
    "end\n"
    "while i <= #v do\n"
    "  if i + 2 > #v then return 'v' end\n"
    "  local s, n = unpack('>BI2', v, i)\n"
    "  if s ~= slot then\n"
    "    kept[#kept + 1] = sub(v, i, i + 2 + n)\n"
    "  elseif n == #value then\n"
    "    place = i + 2\n"
    "  end\n"
    "  i = i + 3 + n\n"
    "end\n"
    "if place then\n"
    "  call('SETRANGE', key, place, value)\n"
    "  call('PEXPIRE', key, ttl)\n"
    "else\n"
    "  if #value > 0 then kept[#kept + 1] = pack('>BI2', slot, #value) .. value end\n"
    "  if #kept > 0 then\n"
    "    v = string.char(2) .. sub(v, 2, base) .. pack('>I2', #sealed) .. sealed\n"
    "      .. table.concat(kept)\n"
    "  else\n"
    "    v = string.char(1) .. sub(v, 2, base) .. sealed\n"
    "  end\n"
    "  call('SET', key, v, 'PX', ttl)\n"
    "  if byte(h) == 1 and #kept > 0 then call('SADD', KEYS[2], ARGV[5]) end\n"
    "  if byte(h) == 2 and #kept == 0 then call('SREM', KEYS[2], ARGV[5]) end\n"
    "end\n"
    "if #ARGV[6] > 0 then\n"
    "  call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[7], '*', 'e', ARGV[6])\n"
    "end\n"
    "return ok(due(key, alen, room, ttl))\n",

    [REDIS_OBLIGED] = COMMON "local r = call('SSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])\n"
                             "local out = {ok(''), pack('>I8', tonumber(r[1]))}\n"
                             "for i = 1, #r[2] do\n"
                             "  out[#out + 1] = string.char(#r[2][i])\n"
                             "  out[#out + 1] = r[2][i]\n"
                             "end\n"
                             "return table.concat(out)\n",

    [REDIS_REMOVE] = COMMON HEAD "local h, why = head(KEYS[1], ARGV[1])\n"
                                 "if not h then return why end\n"
                                 "local alen, room = byte(h, 28, 29)\n"
                                 "local address = ''\n"
                                 "if alen == 26 then\n"
                                 "  address = call('GETRANGE', KEYS[1], 30 + room, 47 + room)\n"
                                 "end\n"
                                 "call('DEL', KEYS[1], KEYS[2])\n"
                                 "return ok(address) .. string.char(byte(h) - 1)\n",

    [REDIS_ADDRESS_KEEP] = COMMON "if call('GET', KEYS[1]) ~= ARGV[1] then return 'n' end\n"
                                  "call('PEXPIRE', KEYS[1], ARGV[2])\n"
                                  "return ok('')\n",

    [REDIS_ADDRESS_DROP] = COMMON "if call('GET', KEYS[1]) ~= ARGV[1] then return 'n' end\n"
                                  "call('DEL', KEYS[1])\n"
                                  "return ok('')\n",

    [REDIS_JOIN] =
        COMMON "local id, boot, ids = tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[5])\n"
               "local t, live, count, all = now(), {}, 0, call('HGETALL', KEYS[1])\n"
               "for i = 1, #all, 2 do\n"
               "  local v = all[i + 1]\n"
               "  if #v == 57 and unpack('>I8', v) > t then\n"
               "    live[tonumber(all[i])], count = sub(v, 9, 20), count + 1\n"
               "  else\n"
               "    call('HDEL', KEYS[1], all[i])\n"
               "  end\n"
               "end\n"
               "if id > 0 then\n"
               "  if live[id] and live[id] ~= boot then return 'e' end\n"
               "  if not live[id] and count >= ids then return 'x' end\n"
               "else\n"
               /* Asked again because the answer to the first time was lost: it has one. */
               "  for i = 1, ids do\n"
               "    if live[i] == boot then id = i break end\n"
               "  end\n"
               "  for i = 1, ids do\n"
               "    if id > 0 then break end\n"
               "    if not live[i] then id = i end\n"
               "  end\n"
               "  if id == 0 then return 'e' end\n"
               "end\n"
               "call('HSET', KEYS[1], id, pack('>I8', t + ARGV[1]) .. boot .. ARGV[4])\n"
               "return ok('') .. pack('>I2', id)\n",

    [REDIS_BEAT] = COMMON MEMBER
    "local t = now()\n"
    "local v = live(ARGV[2], t)\n"
    "if not v then return 'n' end\n"
    "if sub(v, 9, 20) ~= ARGV[3] then return 's' end\n"
    "call('HSET', KEYS[1], ARGV[2], pack('>I8', t + ARGV[1]) .. ARGV[3] .. ARGV[4])\n"
    "return ok('')\n",

    [REDIS_LEAVE] = COMMON MEMBER "local v = live(ARGV[1], now())\n"
                                  "if not v then return 'n' end\n"
                                  "if sub(v, 9, 20) ~= ARGV[2] then return 's' end\n"
                                  "call('HDEL', KEYS[1], ARGV[1])\n"
                                  "return ok('')\n",

    [REDIS_MEMBERS] = COMMON "local t, out, all = now(), {ok('')}, call('HGETALL', KEYS[1])\n"
                             "for i = 1, #all, 2 do\n"
                             "  local v = all[i + 1]\n"
                             "  if #v == 57 and unpack('>I8', v) > t then\n"
                             "    out[#out + 1] = pack('>I2', all[i]) .. sub(v, 9)\n"
                             "  end\n"
                             "end\n"
                             "return table.concat(out)\n",

    [REDIS_TOPIC_PUT] = COMMON CHANGE
    "local mode, name, value = ARGV[1], ARGV[2], ARGV[3]\n"
    "local old = call('HGET', KEYS[1], name)\n"
    "if strange(old) then return 'v' end\n"
    "if old and mode == 'c' then return 'e' end\n"
    "if not old and mode == 'u' then return 'n' end\n"
    "if not old and call('HLEN', KEYS[1]) >= tonumber(ARGV[4]) then return 'x' end\n"
    "local n = change(name)\n"
    "call('HSET', KEYS[1], name, pack('>BI8', 1, n) .. value)\n"
    "if not old then\n"
    "  call('ZADD', KEYS[3], 0, name)\n"
    "  call('ZREM', KEYS[4], name)\n"
    "end\n"
    "return ok('') .. pack('>I8', n)\n",

    [REDIS_TOPIC_REMOVE] =
        COMMON CHANGE "local name, old = ARGV[1], call('HGET', KEYS[1], ARGV[1])\n"
                      "if not old then return 'n' end\n"
                      "if strange(old) then return 'v' end\n"
                      "local n = change(name)\n"
                      "call('HDEL', KEYS[1], name)\n"
                      "call('ZREM', KEYS[3], name)\n"
                      "call('ZADD', KEYS[4], string.format('%.0f', n), name)\n"
                      "while call('ZCARD', KEYS[4]) > tonumber(ARGV[2]) do\n"
                      "  local oldest = call('ZPOPMIN', KEYS[4])\n"
                      "  call('ZREM', KEYS[2], oldest[1])\n"
                      "  call('HSET', KEYS[5], 'lost', oldest[2])\n"
                      "end\n"
                      "return ok('') .. pack('>I8', n)\n",

    [REDIS_TOPICS] =
        COMMON "local from, out = '-', {ok('')}\n"
               "if #ARGV[1] > 0 then from = '(' .. ARGV[1] end\n"
               "local names = call('ZRANGEBYLEX', KEYS[1], from, '+', 'LIMIT', 0, ARGV[2])\n"
               "for i = 1, #names do\n"
               "  out[#out + 1] = string.char(#names[i])\n"
               "  out[#out + 1] = names[i]\n"
               "end\n"
               "return table.concat(out)\n",

    [REDIS_CHANGES] = COMMON
    "local state = call('HMGET', KEYS[2], 'n', 'lost')\n"
    "local out = {ok(''), pack('>I8I8', tonumber(state[1] or 0), tonumber(state[2] or 0))}\n"
    "local all = call('ZRANGEBYSCORE', KEYS[1], '(' .. ARGV[1], '+inf', 'WITHSCORES', 'LIMIT',\n"
    "  0, ARGV[2])\n"
    "for i = 1, #all, 2 do\n"
    "  out[#out + 1] = pack('>I8B', tonumber(all[i + 1]), #all[i])\n"
    "  out[#out + 1] = all[i]\n"
    "end\n"
    "return table.concat(out)\n",
};

const char *redis_script_text(enum redis_script script)
{
    return texts[script];
}

enum status redis_script_ids_init(struct redis_script_ids *ids)
{
    for (size_t i = 0; i < REDIS_SCRIPTS; i++) {
        unsigned char digest[EVP_MAX_MD_SIZE];
        unsigned length;
        if (EVP_Digest(texts[i], strlen(texts[i]), digest, &length, EVP_sha1(), NULL) != 1 ||
            length != REDIS_SHA_LENGTH / 2)
            return STATUS_CRYPTO;
        for (unsigned at = 0; at < length; at++)
            (void)snprintf(ids->sha[i] + (size_t)2 * at, 3, "%02x", digest[at]);
    }
    return STATUS_OK;
}
