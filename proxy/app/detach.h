// `--detach`: the process that was started waits until the one that it leaves behind is ready, and ends with its result. For supervisors that start an upgrade by a
// command which must end (ExecReload= of systemd).
#ifndef APP_DETACH_H
#define APP_DETACH_H

// Returns in the process that goes on, with what detach_done takes. The other one ends here: with 0 once that was called, else with the exit code of the one that ended.
// -1: it could not be done, and that was printed.
int detach(void);

// Ready. `*mark` may be -1: nothing was detached.
void detach_done(int *mark);

#endif
