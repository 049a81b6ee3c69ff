/* What is counted during a run. */
#ifndef HOLDFAST_BENCH_TALLY_H
#define HOLDFAST_BENCH_TALLY_H

#include "bench/histogram.h"
#include "bench/server.h"

#include <stdbool.h>
#include <stdint.h>

struct tally {
    uint64_t addresses;     /* that the devices have */
    uint64_t requests;      /* asked for the first time */
    uint64_t served;        /* answered with class 2, and rightly */
    uint64_t served_in_run; /* likewise, before the run's end */
    uint64_t lost;          /* unanswered when the last retransmission's time was over */
    uint64_t refused;       /* answered with 4.xx or a reset */
    uint64_t unavailable;   /* answered with 5.xx */
    uint64_t wrong;         /* an echo of something else */
    uint64_t backlog;       /* due before the run's end, and never asked for want of a device */
    uint64_t retransmissions;
    uint64_t rebinds;
    uint64_t pings;          /* of the server's, answered */
    uint64_t sessions_ended; /* by the server */
    uint64_t bad_records;    /* that did not open */
    uint64_t unsent;         /* datagrams that our own kernel did not take */
    uint64_t strays;         /* messages that no device waits for */

    bool has_usage;                                                 /* of the server's processes */
    struct server_usage usage_before, usage_at_start, usage_at_end; /* before: without sessions */

    uint64_t relations;       /* begun, whichever side observes */
    uint64_t relations_ended; /* by the server, or with their session */
    uint64_t notifications;   /* newer than all before on their relation */
    uint64_t notifications_in_run;
    uint64_t notifications_reordered; /* older, and of no use */
    uint64_t notifications_repeated;  /* the same message again */
    uint64_t numbers_skipped;         /* between two of a relation */
    uint64_t asked;                   /* requests of the server's, answered */

    uint64_t observed;        /* sessions that the API was asked for and observes */
    uint64_t observe_refused; /* times that it did not, and was asked again */
    bool has_stored;
    uint64_t stored; /* notifications since the run's begin, as the server counts them */

    uint64_t handshakes;
    uint64_t handshakes_after_start;
    uint64_t handshakes_failed;
    uint64_t handshake_retransmissions; /* of flights */
    uint64_t handshake_octets_up, handshake_octets_down;
    uint64_t handshake_span_us; /* the time that handshakes were made in, and how many */
    uint64_t handshake_span_count;

    uint64_t start_us;               /* how long the start took */
    uint64_t run_us;                 /* how long the run was */
    uint64_t octets_up_start;        /* of all the wire's when the run began */
    uint64_t octets_down_start;      /* likewise */
    uint64_t octets_up, octets_down; /* from there to the end, without handshakes */
    uint64_t max_gap_us;             /* in the run without anything served */
    bool marked;
    uint64_t mark_us;     /* since the start of the run */
    uint64_t unrecovered; /* devices that were not served after the mark */

    struct histogram latency;
    struct histogram handshake;
    struct histogram notification; /* since what it tells of was due to be published */
    struct histogram observe;      /* of the API, for one observation */
    struct histogram recovery;     /* from the mark to a device's next served reply */
    struct histogram affected;     /* likewise, of devices that had to retransmit before */
};

#endif
