/* Sizes of a simulated cluster. */
#ifndef HOLDFAST_TESTS_SIM_LIMITS_H
#define HOLDFAST_TESTS_SIM_LIMITS_H

#define SIM_LBS 2
#define SIM_NODES 3 /* workers */
#define SIM_DEVICES_MAX 8
#define SIM_STORE_CLIENTS (SIM_NODES + SIM_LBS) /* workers first */
#define SIM_FAULTS_MAX 16
#define SIM_TOPICS 3
#define SIM_BACKLOG_MAX 256 /* datagrams that wait in the sockets of a stopped worker */

#define SIM_MARK_LATER_MS 2000 /* in place of MARK_LATER_MS, so that a run has many */

#define SIM_FAULTS_FROM_MS 2500
#define SIM_CALM_MS 16000        /* all faults are over */
#define SIM_ANSWER_BOUND_MS 8000 /* from then on: for a session that is in the store */
#define SIM_HANDSHAKE_BOUND_MS 20000
/* Until a state is there that an observer is owed. */
#define SIM_OWED_BOUND_MS 40000
#define SIM_END_MS (SIM_CALM_MS + SIM_OWED_BOUND_MS + SIM_ANSWER_BOUND_MS)
/* Until whoever hears nothing any more is told nothing: a notification comes within 10 s, and is
 * given up after 95 s; it may begin anew with another worker. */
#define SIM_DEAF_BOUND_MS 600000
#define SIM_DEAF_LATEST_MS 20000
/* Of calm weather, until a silent observer says something after all, and is late. */
#define SIM_SILENT_MS 15000

#endif
