/* The sub-commands of `holdfast`. Each takes its own name as argv[0] and returns the exit status.
 */
#ifndef HOLDFAST_DEPLOY_COMMAND_H
#define HOLDFAST_DEPLOY_COMMAND_H

enum exit_status {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,   /* it was understood, and did not work out */
    EXIT_UNUSABLE = 2, /* the command line; one line on stderr says what and what would be right */
};

enum exit_status up_command(int argc, char *const *argv);
enum exit_status psk_gen_command(int argc, char *const *argv);
enum exit_status cid_decode_command(int argc, char *const *argv);

#endif
