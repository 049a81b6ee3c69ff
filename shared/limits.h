/* Every bound, and how they relate. Each has a counter for when it is hit, named beside it. */
#ifndef HOLDFAST_SHARED_LIMITS_H
#define HOLDFAST_SHARED_LIMITS_H

/* Wire */
#define DATAGRAM_SIZE_MAX 2048 /* octets of one client datagram; longer: dropped, "oversized" */
#define FRAME_SIZE_MAX 65000   /* octets of one lb-worker frame */
#define FRAME_SIZE_DEFAULT 1372 /* link MTU 1400 less IPv4 and UDP headers */
#define FRAME_PEERS_MAX 512    /* boots that a frame opener remembers */
#define UPLINK_PEERS_MAX 255     /* lb threads that a worker answers through */
#define UPLINK_LB_SILENT_MS 1000 /* an lb not heard for so long is taken for dead */

/* Connection IDs */
#define CID_LENGTH_MIN 6
#define CID_LENGTH_DEFAULT 8
#define CID_LENGTH_MAX 20
#define CID_CONFIGS_MAX 7
#define CID_NONCE_LENGTH_MIN 4 /* draft-ietf-quic-load-balancers, section 3 */
/* Our own configs: 2 octets of worker id, 1 where a CID of 6 octets leaves no more. */
#define CID_WORKER_ID_LENGTH(cid_length) ((cid_length) > CID_LENGTH_MIN ? 2 : 1)

/* I/O */
#define IO_BATCH_MAX 256     /* datagrams handed over at once */
#define IO_SOCKETS_MAX 64    /* sockets and watched descriptors of one loop */

/* lb */
#define LISTENERS_MAX 16
#define WORKERS_MAX 256
#define LB_THREADS_MAX 16
#define FLOWS_MAX_DEFAULT 262144     /* per thread; full: the oldest goes, counted */
#define FLOW_IDLE_MS 300000
#define ADMISSION_PREFIXES_MAX 65536 /* per thread */
#define ADMISSION_RATE_DEFAULT 500   /* ClientHello datagrams per second and prefix */
#define ADMISSION_BURST_DEFAULT 1000
#define PING_INTERVAL_MS 100
#define PINGS_MISSED_MAX 3
#define ROSTER_INTERVAL_MS 250    /* between questions to the store who the workers are */
#define ROSTER_INTERVAL_MIN_MS 50 /* likewise, while workers die */

/* DTLS */
#define IDENTITY_LENGTH_MAX 128 /* octets: RFC 4279 section 5.3 */
#define PSK_LENGTH_MAX 64
#define SEQUENCE_LEASE 4096         /* numbers of one lease */
#define SEQUENCE_HANDSHAKE_RESERVED 64 /* epoch 1 numbers that belong to the handshake's object */
#define NONCE_LEASE 65536            /* CID nonces of one lease */
#define NONCE_LEASES_AHEAD 64        /* blocks that others may have taken since our last */
#define SESSIONS_MAX_DEFAULT 1048576 /* of one worker; full: handshakes are refused, counted */
#define SESSION_TTL_S 2592000        /* 30 days without a record end a session */
#define IDENTITIES_MAX 1048576       /* of the memory store */
#define STORE_QUESTIONS_MAX 16384    /* unanswered questions to the store */
#define HANDSHAKES_MAX_DEFAULT 4096  /* open at once in one worker; full: refused, counted */
#define BACKLOG_OCTETS 2097152 /* of datagrams of handshakes that wait; full: dropped, "backlog" */
#define BACKLOG_TURN 64        /* of them that are served before sessions are looked at again */
#define HANDSHAKE_LIFETIME_MS 30000  /* from the cookie's return to the first application record */
#define HANDSHAKE_REPEATS_MAX 8      /* of our first flight because the client repeats its own */
#define HANDSHAKE_HELD_MAX 8         /* records held while a PSK is looked up */
#define HANDSHAKE_FLIGHT_MAX 4096    /* octets of one flight of ours */
#define ADOPTIONS_MAX 8192  /* sessions of one worker that are being claimed; full: counted */
#define DOUBTFUL_CLAIMS_PER_S 64 /* of CIDs ahead of all leases that a worker knows of */
#define ADOPTION_HELD_MAX 2 /* datagrams held for each of them */
#define SESSION_IDLE_S_DEFAULT 3600 /* a session silent for so long is in the store only */
#define HEIRS_MEMBERS_MS 250    /* between questions who the members are */
#define HEIRS_CLAIMS_MAX 256    /* of one worker at once, without a datagram */
#define HEIRS_DOUBT_MS 500      /* unheard of for so long: others may have had what is held */
#define HEIRS_RETRY_MS 500      /* before what failed, or was lost, is tried again ... */
#define HEIRS_RETRY_MOST_MS 8000 /* ... twice as long each time, as long as that goes on */
#define HEIRS_MISSED_MAX 256    /* sessions that wait for that; more: a search */
#define HEIRS_LOOK_MS 2000      /* between looks at what is held and routes elsewhere ... */
#define HEIRS_LOOK_MOST_MS 300000 /* ... twice as long each time */
#define MARK_INTERVAL_MS 50 /* DESIGN.md section 7, invariant 5 */
#define MARK_LATER_MS 300000 /* where the records that moved the window changed nothing */
#define MARKS_TOGETHER REDIS_MARKS_MAX /* of those that are saved later, in one write */
#define PATH_HELD_MAX 64             /* replies of one worker that wait for a path to be proven */
#define PATH_HELD_MS 5000
#define AMPLIFICATION_FACTOR 3 /* octets out per octet in to an address that has not answered */

/* Store */
#define STORE_SEALED_MAX 320    /* octets of a sealed session or key */
#define STORE_MARK_MAX 80       /* octets of a session's changing part */
#define STORE_EXCHANGE_MAX 1344 /* octets of a remembered exchange */
#define STORE_EVENT_MAX 1536    /* octets of an event that comes with an exchange */
#define STORE_LONG_EVENT_MAX 16896 /* octets of one that comes with a relation */
#define STORE_LONG_QUESTIONS_MAX 1024 /* unanswered ones with more than STORE_EVENT_MAX of it */
#define STORE_RELATION_MAX 512  /* octets of a relation */
#define STORE_RELATIONS_MAX 1048576 /* of the memory store */
#define STORE_OBLIGED_PAGES 256 /* that sessions with relations are listed on; never changes */
#define STORE_OBLIGED_MAX 4096  /* sessions in one answer */
#define STORE_TOPIC_NAME_MAX 96 /* octets */
#define STORE_TOPIC_MAX 1280    /* octets of a topic's value */
#define STORE_TOMBSTONES_MAX 4096 /* removed topics that are remembered; the oldest go */
#define STORE_LIST_MAX 1024     /* topics in one answer */
#define TOPICS_MAX 65536        /* "topics full" */
#define STORE_LOG_EVENTS_MAX 1000000 /* events kept; the oldest go */
#define STORE_TURN_QUESTIONS_MAX 256  /* carried out in one turn of an embedded engine, for whose
                                         commit the loop waits */
#define STORE_TURN_BYTES 2097152      /* octets of their answers; the rest waits for the next turn */
#define MEMBER_TTL_MS 3000      /* a worker that has not beaten within this is gone */
#define MEMBER_BEAT_MS 500

/* Redis */
#define REDIS_HOSTS_MAX 8      /* named by one URL */
#define REDIS_HOST_LENGTH_MAX 255
#define REDIS_TEXT_MAX 255     /* octets of a user, password, file name of a URL */
#define REDIS_PREFIX_MAX 16    /* octets that all our keys begin with */
#define REDIS_NODES_MAX 32     /* masters of a cluster; more: not used, trouble says so */
#define REDIS_TAGS 256         /* hash tags that sessions are spread over; never changes */
#define REDIS_ARGUMENTS_MAX 800
#define REDIS_MARKS_MAX 256    /* marks that one script call saves */
#define REDIS_WINDOW_MAX 1024  /* commands sent on one connection and not answered; others wait */
#define REDIS_ATTEMPTS_MAX 16  /* of one question that is sent elsewhere or again */
#define REDIS_COMMAND_MS 2000  /* for an answer; then the connection is dropped */
#define REDIS_WAIT_MS 500      /* for replicas, where a URL wants to wait for them */
#define REDIS_WAIT_MAX_MS 1500
#define REDIS_WAIT_REPLICAS_MAX 16
#define REDIS_CONNECT_MS 2000  /* to connect, and again for the greeting */
#define REDIS_RESOLVE_MS 5000  /* for a name */
#define REDIS_BACKOFF_MS 100   /* doubled by each failure in a row, with jitter */
#define REDIS_BACKOFF_MAX_MS 1000
#define REDIS_PING_MS 1000     /* without a reply: ask whether it is there */
#define REDIS_RETRY_MS 50      /* before a question is asked again that a cluster cannot answer yet */
#define REDIS_REFRESH_MS 250   /* between two questions for a cluster's map */

/* CoAP */
#define COAP_MESSAGE_SIZE_MAX 1280
#define COAP_EXCHANGE_LIFETIME_MS 247000 /* RFC 7252 section 4.8.2 */
#define COAP_EXCHANGES_MAX 65536         /* remembered (message id, reply) pairs of one worker */
#define COAP_EXCHANGES_PER_PEER_MAX 16   /* full: the oldest goes, "exchanges evicted" */
#define COAP_EXCHANGES_SHARE 4           /* one in so many is for plain CoAP, one for responses */
#define COAP_OPTIONS_MAX 32              /* options of one message; more: dropped, "malformed" */
#define COAP_PLAIN_OVERHEAD 28 /* octets of IPv4 and UDP headers, which amplification counts too */
#define COAP_ACK_TIMEOUT_MS 2000     /* RFC 7252 section 4.8, as are the next two */
#define COAP_ACK_RANDOM_PERCENT 150
#define COAP_ACK_RANDOM_PERCENT_MAX 1000
#define COAP_MAX_RETRANSMIT 4
#define COAP_MAX_RETRANSMIT_MAX 10 /* of --max-retransmit */
#define COAP_SEPARATE_MS 1500 /* without a reply: an empty ACK */
#define COAP_DEFERRALS_MAX 1024   /* requests of one worker that are answered later; full: 5.03 */
#define COAP_DEFERRED_MS 60000    /* without an answer: 5.03 */
#define COAP_MESSAGE_ID_LEAP 1024 /* ids that an heir leaves out: the mark may not know of them */
#define COAP_MESSAGE_ID_HEIRS 4   /* in a row that take different ids though none saved a mark */
#define COAP_MESSAGE_ID_NOTE 128  /* a mark is due once so many have been used */
#define COAP_BODY_MAX 16384       /* octets of a representation */
#define COAP_TRANSMISSION_PEERS_MAX 65536 /* with a confirmable message of ours under way */
#define COAP_TRANSMISSIONS_MAX 65536      /* short ones, under way or waiting; full: refused, counted */
#define COAP_TRANSMISSIONS_LONG_MAX 4096  /* likewise of longer ones */
#define COAP_TRANSMISSIONS_PER_PEER_MAX 8 /* one under way, the others wait behind it; likewise */
#define COAP_RETRY_AFTER_S 5 /* Max-Age of a 5.03: when to try again */
#define COAP_BODY_MAX 16384 /* octets of a body in blocks; more: 4.13, "too large" */
/* Bodies of one worker that are on their way in blocks; full: the oldest is abandoned, counted. */
#define COAP_BODIES_MAX 1024
#define COAP_BODIES_PER_PEER_MAX 4
#define COAP_BODIES_SHARE 4 /* one in so many is for plain CoAP, the rest for DTLS */
#define COAP_BODY_CHUNKS_MAX 4096      /* kilooctets of them together */
#define COAP_BODY_IDLE_MS 247000       /* EXCHANGE_LIFETIME: RFC 7959 sections 2.4 and 2.5 */
#define COAP_BODY_LIFETIME_MS 3600000  /* from its first block, however busy */
#define ERRANDS_MAX 1024 /* requests of one worker to devices; full: refused, counted */
#define ERRANDS_PER_PEER_MAX 8
#define ERRAND_RESPONSE_MS 60000 /* from a device's ACK to its response */
#define OBSERVATIONS_PER_SESSION_MAX 16 /* the upper slots of a session's relations are theirs */
#define OBSERVATIONS_MAX 65536 /* of one worker; full: refused, counted */
#define OBSERVATION_SAVES_MAX 8 /* of one session's notifications on their way to the store */
#define OBSERVATION_FETCHES_MAX 256 /* notifications in blocks that a worker has the rest of fetched */
#define OBSERVATION_FETCHES_PER_SESSION_MAX 4 /* and of one session; more: as if they had not come */
#define OBSERVATION_RATE 32   /* notifications a second that one session may send in the long run */
#define OBSERVATION_BURST 128 /* and at once; more: dropped, counted */
#define OBSERVATION_MARGIN_MS 5000 /* from Max-Age to registering anew, at least */
#define OBSERVATION_SPREAD_MS 10000 /* and at random so much more */
#define OBSERVATION_RETRY_MS 60000 /* after a registration that failed; doubled each time */
#define OBSERVATION_RETRY_MAX_MS 3600000
#define ECHO_REPLY_MAX 1024     /* octets that the resource /echo makes up */
#define PLUGTEST_VALUE_MAX 8192   /* octets of a conformance resource; more: 4.13 */
#define PLUGTEST_TICK_MS 5000     /* between two states of what changes of itself */
#define PLUGTEST_WAITS_MAX 64     /* requests to /separate at once; more: 5.03 */
#define PLUGTEST_SEPARATE_MS 2000 /* how long one takes */
#define RATE_MAX 1000000       /* requests a second that one peer may be bounded to */
#define ECHO_LIFETIME_S 300     /* a value of the Echo option proves an address for so long */
#define ECHO_CLOCK_SKEW_S 10    /* between workers */
#define EVENT_PAYLOAD_MAX 1024 /* octets of one POST to /events; more: 4.13 */

#define RELATIONS_REMOVED_MAX 256 /* that the store has not confirmed to be rid of */
#define RELATION_RETRY_MS 1000    /* before it is asked again */
#define RELATIONS_PER_SESSION_MAX 32     /* Observe relations in both roles */

/* Observe, as server; full: the answer has no Observe, "observers refused" */
#define OBSERVERS_MAX 262144         /* relations of one worker */
#define OBSERVERS_PER_PEER_MAX 16    /* the lower slots of a session's relations are theirs */
#define OBSERVERS_PLAIN_MAX 1024     /* peers without DTLS */
#define SUBJECTS_MAX 16384           /* resources in one representation each */
#define OBSERVE_CONFIRM_S_MAX 86400  /* RFC 7641 section 4.5 */
#define OBSERVE_CONFIRM_S_DEFAULT 82800
#define OBSERVE_CONFIRM_EVERY_MAX 255
#define OBSERVE_PLAIN_CONFIRM_EVERY 4 /* of the notifications to an address that anybody can write */
#define OBSERVE_PACE_MS 3000         /* RFC 7641 section 4.5.1: without an estimate of the RTT */
#define OBSERVE_ESTIMATE_S 5         /* an RTT estimate older than this that holds a change up is made anew */
#define OBSERVE_BATCH_MAX 256        /* observers that one turn tells of a change, one ms apart */
#define OBSERVE_RETRY_MS 1000        /* before a state is asked for again that could not be had */

/* Publish and subscribe */
#define TOPIC_DATA_MAX 1024  /* octets of one publication; more: 4.13 */
#define PS_REQUESTS_MAX 1024 /* requests that wait for the store; full: 5.03, "ps refused" */
#define PS_ATTEMPTS_MAX 4    /* of a publication that another one comes before */
#define PS_POLL_MS 50        /* between questions to the store what others have published */
#define PERMISSIONS_MAX 32   /* of one list */

/* Options */
#define OPTIONS_MAX 64       /* rows of one table */
#define CONFIG_LINE_MAX 4096 /* octets of one line of a --config or --psk-file */

/* HTTP: beyond these the library refuses or closes the connection */
#define HTTP_CONNECTIONS_MAX 64
#define HTTP_CONNECTION_MEMORY_MAX 32768 /* octets of request and headers */
#define HTTP_IDLE_MS 10000
#define API_WAITING_MAX 48 /* requests that wait for devices; full: 503, counted */
#define HTTP_REQUEST_MAX 16384 /* octets of a request's body; more: 413 */
#define HTTP_BODY_MAX 4194304 /* octets of an answer that http_get takes */

/* holdfast up; what does not fit is refused at start */
#define UP_WORKERS_MAX 32
#define UP_START_MS 10000         /* for a child to serve */
#define UP_DRAIN_MS 1000          /* of UP_STOP_MS for the workers alone; then the lb is told too */
#define UP_STOP_MS 1400           /* for the children to end; with UP_PROBE_MS less than 2 s */
#define UP_PROBE_MS 500           /* for all children to answer one HTTP request */
#define UP_RESTARTS_MAX 10        /* in UP_RESTARTS_MS; then the node gives up */
#define UP_RESTARTS_MS 60000
#define UP_RESTART_DELAY_MS 100 /* doubled by each restart of the last UP_RESTARTS_MS */
#define UP_RESTART_DELAY_MAX_MS 5000

_Static_assert(ROSTER_INTERVAL_MS < MEMBER_TTL_MS && MEMBER_BEAT_MS < MEMBER_TTL_MS / 2,
               "a beat may be lost, and an lb sees who came and went");
_Static_assert(UPLINK_LB_SILENT_MS > 2 * PING_INTERVAL_MS * PINGS_MISSED_MAX,
               "an lb that lives is heard");
_Static_assert(OBSERVERS_PER_PEER_MAX < RELATIONS_PER_SESSION_MAX, "the other role has slots too");
_Static_assert(UP_DRAIN_MS < UP_STOP_MS, "the lb has time to end");
_Static_assert(UP_STOP_MS + UP_PROBE_MS < 2000, "SIGTERM ends the node within 2 s");
_Static_assert(UP_WORKERS_MAX + 4 <= IO_SOCKETS_MAX, "a ready pipe each, signals, HTTP");
_Static_assert(UP_WORKERS_MAX <= WORKERS_MAX, "the lb knows them all");
_Static_assert(CID_LENGTH_MIN >= 1 + CID_WORKER_ID_LENGTH(CID_LENGTH_MIN) + CID_NONCE_LENGTH_MIN,
               "a CID holds an id and a nonce");
_Static_assert(FRAME_PEERS_MAX >= WORKERS_MAX, "an lb remembers each worker's boot");
_Static_assert(SEQUENCE_HANDSHAKE_RESERVED < SEQUENCE_LEASE, "the first lease starts above");
_Static_assert(ADOPTIONS_MAX + HANDSHAKES_MAX_DEFAULT <= STORE_QUESTIONS_MAX - STORE_QUESTIONS_MAX / 4,
               "a flood of strangers leaves room for the questions of sessions");
_Static_assert(API_WAITING_MAX <= HTTP_CONNECTIONS_MAX - 16, "others are served meanwhile");
_Static_assert(HEIRS_CLAIMS_MAX <= ADOPTIONS_MAX / 4, "most are for who speaks");
_Static_assert(EVENT_PAYLOAD_MAX + IDENTITY_LENGTH_MAX + CID_LENGTH_MAX + 256 <= STORE_EVENT_MAX,
               "the longest event fits the log");
_Static_assert(COAP_BODY_MAX + IDENTITY_LENGTH_MAX + CID_LENGTH_MAX + 255 + 100 <=
                   STORE_LONG_EVENT_MAX,
               "so does a notification's");
_Static_assert(COAP_SEPARATE_MS < COAP_ACK_TIMEOUT_MS && COAP_DEFERRED_MS < COAP_EXCHANGE_LIFETIME_MS,
               "an empty ACK comes before the repetition, an answer while the request is remembered");
_Static_assert(4 * COAP_MESSAGE_ID_NOTE <= COAP_MESSAGE_ID_LEAP, "an heir reuses none");
_Static_assert(OBSERVERS_PER_PEER_MAX + OBSERVATIONS_PER_SESSION_MAX <= RELATIONS_PER_SESSION_MAX,
               "each has its slots");
_Static_assert(OBSERVATION_FETCHES_MAX <= ERRANDS_MAX / 4 &&
                   OBSERVATION_FETCHES_PER_SESSION_MAX <= ERRANDS_PER_PEER_MAX / 2,
               "fetching leaves room for operators' requests");
_Static_assert(COAP_MESSAGE_SIZE_MAX + 128 <= DATAGRAM_SIZE_MAX, "a message fits its record");
_Static_assert(COAP_BODIES_PER_PEER_MAX * COAP_BODY_MAX <= COAP_BODY_CHUNKS_MAX * 1000 / 16,
               "no peer has more than a sixteenth of the room for bodies");

_Static_assert(2 * REDIS_MARKS_MAX + REDIS_MARKS_MAX + 8 <= REDIS_ARGUMENTS_MAX,
               "a call for marks fits");
_Static_assert(REDIS_NODES_MAX < IO_SOCKETS_MAX / 2 + 1, "each node is a watched descriptor");

_Static_assert(REDIS_WAIT_MAX_MS < REDIS_COMMAND_MS, "replicas are late before the server is");

#endif
