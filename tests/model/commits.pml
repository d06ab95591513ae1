/* A timer falls due, and the answers of commits get lost on the way.

Law: claiming a due timer and removing its row are one statement, so that its effect comes once and is never lost. An error
instead of an answer is a third outcome: whoever gets one locks the row first, so that an old connection still at work
finishes before, then looks for its own trace, and only where there is none does it write again, under the same lock and guard.

A statement goes to a connection of its own, and from then on it lives there: it may begin at any later moment, wait with
the row locked, commit or be rolled back, also when the server that sent it has given up waiting for it, or is dead.

statement   guard                                                trace that it has landed
claim       no owner, token, revision, my server row is alive    my walk, in the row or in history
arrival     owner, token, revision                               my walk in history
adoption    owner, token, revision as seen, my row is alive      owner and token are mine
*/

#define SERVERS 2
#ifndef LOSSES
#define LOSSES 1   /* answers that get lost */
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef STALLS
#define STALLS 1   /* a server that lives is taken for dead */
#endif
#define ALL (SERVERS + CRASHES + STALLS + 1)  /* incarnations are numbered from 1; the walk that one begins has its number */
#define CONNECTIONS 4                         /* two of each server: one may be lost with a statement on it */

mtype = { IDLED, RUNNING, ARRIVED };
mtype = { NONE, CLAIM, ARRIVAL, ADOPTION };
mtype = { FREE, SENT, EXECUTED, DONE, ZERO_ROWS };

/* ---- the database ---- */

mtype status = IDLED;
byte owner, token, revision, walk;
bool timer = true;         /* its row; it is due */
bool history[ALL];         /* the row of each walk that has arrived */
bool dead[ALL];
byte lock;                 /* of the process row: the connection that holds it, counted from 1 */

mtype state[CONNECTIONS] = FREE;
mtype verb[CONNECTIONS] = NONE;
bool lost[CONNECTIONS];    /* nobody waits for its answer any more */
byte sender[CONNECTIONS], victim[CONNECTIONS], with_token[CONNECTIONS], with_revision[CONNECTIONS], its_walk[CONNECTIONS];

/* ---- the receiver of effects ---- */

byte effects[ALL];         /* applied, of each walk: its id is the key */

/* ---- the servers' memory ---- */

byte incarnation[SERVERS], life[SERVERS];

/* ---- for the assertions only ---- */

byte incarnations, losses, crashes, stalls, fired;
bool crashed[ALL];

#define MOVING (status != ARRIVED)

inline execute(what, who, was, tok, rev, its, found) {
    if
    :: what == CLAIM && status == IDLED && owner == 0 && token == tok && revision == rev && !dead[who] -> found = true
    :: what == ARRIVAL && owner == who && token == tok && revision == rev -> found = true
    :: what == ADOPTION && owner == was && token == tok && revision == rev && !dead[who] && status == RUNNING -> found = true
    :: else -> found = false
    fi
}

inline write(what, who, its) {
    revision++;
    if
    :: what == CLAIM -> status = RUNNING; owner = who; token++; walk = its;
#ifndef TIMER_REMOVED_LATER
        timer = false
#endif
    :: what == ARRIVAL -> assert(!history[its]); history[its] = true; fired++; owner = 0; walk = 0;
        status = (timer -> IDLED : ARRIVED)
    :: what == ADOPTION -> owner = who; token++
    fi
}

inline clear(one) { state[one] = FREE; verb[one] = NONE; lost[one] = false; sender[one] = 0; victim[one] = 0; with_token[one] = 0; with_revision[one] = 0; its_walk[one] = 0 }

proctype Connection(byte me) {
    bool found;
end:
    do
    :: atomic { state[me] == SENT && lock == 0 -> execute(verb[me], sender[me], victim[me], with_token[me], with_revision[me], its_walk[me], found);
            if
            :: found -> lock = me + 1; state[me] = EXECUTED; found = false
            :: else -> state[me] = ZERO_ROWS
            fi }
    :: atomic { state[me] == EXECUTED -> write(verb[me], sender[me], its_walk[me]); lock = 0; state[me] = DONE }
    :: atomic { lost[me] && state[me] == EXECUTED -> lock = 0; state[me] = DONE }        /* rolled back: it was noticed in time */
    :: atomic { lost[me] && state[me] == SENT -> state[me] = DONE }                      /* never arrived */
    :: atomic { lost[me] && (state[me] == DONE || state[me] == ZERO_ROWS) -> clear(me) }
    od
}

inline send(what) {
    atomic {
        if
        :: state[2 * s] == FREE -> line = 2 * s
        :: state[2 * s] != FREE && state[2 * s + 1] == FREE -> line = 2 * s + 1
        fi;
        state[line] = SENT; verb[line] = what; sender[line] = who; victim[line] = was; with_token[line] = my_token; with_revision[line] = my_revision; its_walk[line] = my_walk
    }
}

#define TRACE(what) ((what == CLAIM && (walk == my_walk || history[my_walk])) || (what == ARRIVAL && history[my_walk]) || (what == ADOPTION && owner == who && token == my_token + 1))

#ifdef LOOK_WITHOUT_LOCK
#define ROW_IS_MINE true
#else
#define ROW_IS_MINE (lock == 0)
#endif

/* Not landed: the same change, under the same guard; the answer to this may be lost too. */
inline write_again(what) {
    if
    :: landed -> applied = true
    :: else -> execute(what, who, was, my_token, my_revision, my_walk, applied)
    fi;
    if
    :: unknown = false;
        if
        :: applied && !landed -> write(what, who, my_walk)
        :: else
        fi
    :: losses < LOSSES && applied && !landed -> losses++; write(what, who, my_walk)
    :: losses < LOSSES -> losses++
    fi;
    landed = false
}

inline look_for(what) {
    atomic {
        ROW_IS_MINE -> landed = TRACE(what);
#ifndef LOOK_WITHOUT_LOCK
        write_again(what)
#endif
    }
#ifdef LOOK_WITHOUT_LOCK
    atomic { lock == 0 -> write_again(what) }
#endif
}

/* Ends with applied or not; unknown in between. */
inline commit(what) {
    send(what);
    unknown = false;
    if
    :: atomic { state[line] == DONE -> applied = true; clear(line) }
    :: atomic { state[line] == ZERO_ROWS -> applied = false; clear(line) }
    :: atomic { losses < LOSSES -> losses++; lost[line] = true; unknown = true }
    fi;
#ifdef BLIND_RETRY
    if
    :: unknown -> send(what);
        if
        :: atomic { state[line] == DONE -> applied = true; clear(line) }
        :: atomic { state[line] == ZERO_ROWS -> applied = false; clear(line) }
        fi;
        unknown = false
    :: else
    fi
#else
    do
    :: !unknown -> break
    :: unknown -> look_for(what)
    od
#endif
}

inline forget() { who = 0; was = 0; my_token = 0; my_revision = 0; my_walk = 0; line = 0; applied = false; unknown = false; landed = false }

inline look() { who = incarnation[s]; was = owner; my_token = token; my_revision = revision }

/* the effect, outside any transaction, then the arrival */
inline work() {
    effects[my_walk] = 1;
    commit(ARRIVAL);
    if
    :: !applied -> assert(token != my_token)  /* refused only where somebody has taken the process over */
    :: else
    fi
}

#define ORPHAN (status == RUNNING && owner != 0 && (dead[owner] || owner == incarnation[s]))

proctype Server(byte s) {
    byte who, was, my_token, my_revision, my_walk, line, my_life;
    bool applied, unknown, landed;

again:
    atomic { my_life = life[s]; forget() }
    {
end:
        do
        :: atomic { status == IDLED && timer && owner == 0 -> look(); my_walk = who }
#ifdef TIMER_REMOVED_FIRST
            timer = false;
#endif
            commit(CLAIM);
#ifdef TIMER_REMOVED_LATER
            timer = false;
#endif
            if
            :: applied -> my_token = my_token + 1; my_revision = my_revision + 1; work()
            :: else -> assert(token != my_token || dead[who])  /* a lost race, and not my own statement that had landed */
            fi;
            atomic { forget() }
        :: atomic { ORPHAN -> look(); my_walk = walk }
            commit(ADOPTION);
            if
            :: applied -> my_token = my_token + 1; my_revision = my_revision + 1; work()
            :: else
            fi;
            atomic { forget() }
        od
    } unless { life[s] != my_life };
    goto again
}

inline start(server) { incarnations++; incarnation[server] = incarnations }

/* Its statements live on in the database. */
inline crash(server) {
    crashed[incarnation[server]] = true; life[server]++;
    lost[2 * server] = (state[2 * server] != FREE); lost[2 * server + 1] = (state[2 * server + 1] != FREE);
    start(server)
}

proctype Environment() {
end:
    do
    :: atomic { MOVING && crashes < CRASHES -> crashes++; crash(0) }  /* the servers are alike */
    :: atomic { MOVING && stalls < STALLS -> stalls++;
            if
            :: dead[incarnation[0]] = true
            :: dead[incarnation[1]] = true
            fi }
    :: atomic { MOVING && owner != 0 && crashed[owner] && !dead[owner] -> dead[owner] = true }  /* a death is noticed sooner or later */
    :: atomic { MOVING && dead[incarnation[0]] -> start(0) }
    :: atomic { MOVING && dead[incarnation[1]] -> start(1) }
    od
}

/* When nothing can happen any more. */
proctype End() {
    byte one, sum;
    timeout ->
    for (one : 0 .. ALL - 1) { sum = sum + effects[one] }
    assert(fired == 1);   /* the timer is not lost, and fires once */
    assert(sum == 1);     /* and so does its effect, where the receiver knows the key */
    assert(status == ARRIVED && owner == 0 && lock == 0)
}

init {
    byte one;
    atomic {
        for (one : 0 .. CONNECTIONS - 1) { run Connection(one) }
        start(0); start(1); run Server(0); run Server(1); run Environment(); run End()
    }
}
