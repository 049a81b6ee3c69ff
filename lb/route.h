/* Which worker a datagram goes to: DESIGN.md section 4, rule by rule. Pure. */
#ifndef HOLDFAST_LB_ROUTE_H
#define HOLDFAST_LB_ROUTE_H

#include "lb/classify.h"
#include "lb/flow.h"
#include "lb/membership.h"
#include "shared/address.h"

enum route_outcome {
    ROUTE_BY_CID,     /* rule 1: to the worker that the CID names */
    ROUTE_REHASHED,   /* rule 2: that worker is dead, draining or unknown; by hash of the CID */
    ROUTE_BY_FLOW,    /* rule 3: to the worker of the flow entry, which is to be touched */
    ROUTE_HASHED,     /* rule 4: by hash of the source address; a flow entry is to be made */
    ROUTE_BY_OSCORE,  /* rule 5: by hash of kid and kid context */
    ROUTE_NO_WORKER,  /* nobody lives who could take it */
    ROUTE_UNROUTABLE, /* its class, which names the reason, belongs to nobody here */
};

/* Octets that rule 5 hashes of kid and of kid context; of longer ones, what comes first. */
#define ROUTE_OSCORE_ID_MAX 64

/* True if route_choose wants to see the flow entry: a datagram with a routable CID neither reads
 * nor moves one, since a CID that somebody put on a datagram is not authenticated. */
bool route_asks_flow(const struct classification *class);

/* flow: of (listener, source), NULL if there is none. *member: set for the five outcomes that have
 * a worker. */
enum route_outcome route_choose(struct membership *membership, const struct classification *class,
                                const struct address *source, const struct flow *flow,
                                struct member **member);

#endif
