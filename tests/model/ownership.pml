/* Who may write to a process, and what becomes of one whose server is gone.

Law: a write of a holder, a claim and an adoption are each one guarded statement; zero rows and nothing was written. A
server may be slow, stopped or dead at any point between two statements, and others may take it for dead while it lives.

One process of STEPS steps; SERVERS servers, each with a worker (claims, takes up what waits) and a sweeper (adopts and
decides); the environment kills servers, takes slow ones for dead, and a person asks for cancellation once.

A thread reads the row, and writes later, by what it read:

guard of a holder        owner, token and revision are those it knows
guard from rest          the same with an empty owner, and my server row is not dead
guard of an adoption     the owner, token and revision that it saw, and my server row is not dead

What is atomic here is one statement of the database. The effect of a step happens outside, before its row.
*/

#ifndef SERVERS
#define SERVERS 2
#endif
#ifndef CRASHES
#define CRASHES 1  /* a server dies, and another incarnation starts in its place */
#endif
#ifndef STALLS
#define STALLS 1   /* a server that lives is taken for dead: stopped for too long, cut off, a clock that jumped */
#endif
#ifndef SLIPS
#define SLIPS 1    /* an error escapes, or a thread is left behind: its id leaves the registry of live work */
#endif
#ifndef WAITS
#define WAITS 1    /* the walk is put off: a retry, or a server that shuts down hands it back */
#endif
#define STEPS 2
#define CAP 1      /* max_recovery_attempts */
#define ALL (SERVERS + CRASHES + STALLS + 1)  /* incarnations are numbered from 1; 0 is nobody */

mtype = { IDLED, RUNNING, FINALIZED, BROKEN, POISONED, CANCELLED };

/* ---- the database ---- */

mtype status = IDLED;
byte owner, token, revision;
byte step;                /* of the walk: the first one without a journal row */
byte deaths;              /* in a row with that step in flight */
bool retry;               /* the reserved row */
bool cancel;              /* written by strangers, outside the guard */
byte journal[STEPS];      /* rows of each step */
bool dead[ALL];           /* server rows with dead_at */

/* ---- the receiver of effects ---- */

byte effects[STEPS];      /* applied, of each key */

/* ---- the servers' memory ---- */

byte incarnation[SERVERS];
byte life[SERVERS];       /* raised by a crash: every thread of the server begins anew */
byte registered[SERVERS]; /* holders of the process in the registry of live work */

/* ---- for the assertions only ---- */

byte incarnations;
bool crashed[ALL];
bool abandoned;           /* its holder has let go of it without a write */
bool died;                /* an owner was dead when it was taken over, since it was last sent to work */
bool excused;             /* a server lived on that had taken it over and then let go of it */
byte real;                /* deaths in a row with the step in flight */
bool accepted;            /* the cancel request was */
byte crashes, stalls, slips, waits;

#define ALIVE(who) (who != 0 && !dead[who])

#ifdef NO_FENCE             /* the guard of a holder asks for the id only */
#define HOLDS (status == RUNNING)
#define UNTOUCHED (owner == was && token == my_token && revision == my_revision)
#elif defined(NO_TOKEN)     /* owner and revision are enough while the row lives: the token is a second lock on the same door */
#define HOLDS (owner == who && revision == my_revision)
#define UNTOUCHED (owner == was && revision == my_revision)
#elif defined(NO_REVISION)
#define HOLDS (owner == who && token == my_token)
#define UNTOUCHED (owner == was && token == my_token)
#else
#define HOLDS (owner == who && token == my_token && revision == my_revision)
#define UNTOUCHED (owner == was && token == my_token && revision == my_revision)
#endif

#ifdef NO_ALIVE_CHECK
#define MAY_CLAIM 1
#else
#define MAY_CLAIM ALIVE(who)
#endif

#ifdef FLAG_NOT_HEEDED
#define FLAGGED 0
#else
#define FLAGGED cancel
#endif

#ifdef NO_SELF_ORPHANS
#define MINE_AND_FORGOTTEN 0
#else
#define MINE_AND_FORGOTTEN (owner == incarnation[s])
#endif

#ifdef WAIT_IS_ORPHAN
#define LEFT_ALONE (owner == 0)
#else
#define LEFT_ALONE (owner == 0 && !retry)
#endif

#ifdef NO_DEATH_CHECK
#define OF_THE_DEAD (owner != 0 && owner != incarnation[s])
#else
#define OF_THE_DEAD (owner != 0 && dead[owner])
#endif

#define IS_ORPHAN (status == RUNNING && (OF_THE_DEAD || LEFT_ALONE || MINE_AND_FORGOTTEN))

inline enter() { registered[s]++; held = true }

inline leave() {
    if
    :: held -> registered[s]--; held = false
    :: else
    fi
}

inline forget() { leave(); who = 0; was = 0; my_token = 0; my_revision = 0; my_step = 0; at = 0; my_deaths = 0; told = false; adopted = false }

inline look() { who = incarnation[s]; was = owner; my_token = token; my_revision = revision; my_step = step }

/* the row counts one more write, and so does its writer */
inline wrote() { revision++; my_revision = revision }

inline to_rest(how) { status = how; owner = 0; deaths = 0; real = 0; died = false; excused = false; cancel = false; abandoned = false; wrote() }

/* the row of the step that was done; it is never written twice, and never behind one that stands */
inline finish_step() {
    journal[at]++;
    assert(journal[at] == 1);  /* one journal row per step */
    assert(step == at);        /* the committed step never goes back */
    step = at + 1;
    deaths = 0; real = 0; died = false; excused = false
}

/* zero rows: only because somebody took the process over, which gives it another token */
inline refused() {
#ifndef NO_FENCE
    assert(token != my_token);
#endif
    done = true
}

inline take_effect() {
#ifdef NO_DEDUPLICATION
    effects[at]++;
#else
    effects[at] = 1;  /* the key is made of walk, step and occurrence: the same for every server that sends it */
#endif
    assert(effects[at] == 1)
}

inline slip() {
    atomic {
        slips++;
        if
        :: owner == who && token == my_token -> abandoned = true; excused = excused || adopted
        :: else
        fi
    }
}

inline work() {
    done = false;
    do
    :: done -> break
    :: !done && told ->  /* cancelled at the boundary of a step, with the row of the step before it if that is not written yet */
        atomic {
            if
            :: HOLDS ->
                if
                :: at < STEPS && effect_done -> finish_step()
                :: else
                fi;
                to_rest(CANCELLED); done = true
            :: else -> refused()
            fi
        }
    :: !done && !told && at < STEPS ->
        atomic { take_effect(); effect_done = true }
        atomic {  /* the row of the step; of the last one together with the arrival, which must not pass over a request to cancel */
            if
            :: HOLDS && at + 1 < STEPS -> finish_step(); wrote(); at++; effect_done = false; told = cancel
            :: HOLDS && at + 1 == STEPS && FLAGGED -> told = true
            :: HOLDS && at + 1 == STEPS && !FLAGGED -> finish_step(); to_rest(FINALIZED); done = true
            :: else -> refused()
            fi
        }
    :: !done && !told && !effect_done && at < STEPS && waits < WAITS ->  /* put off */
        atomic {
            if
            :: HOLDS -> waits++; owner = 0; token++; retry = true; wrote(); done = true
            :: else -> refused()
            fi
        }
    :: !done && slips < SLIPS -> slip(); done = true           /* an error escapes */
    :: !done && slips < SLIPS && held -> slip(); leave()       /* the registration goes, the thread stays behind */
    :: !done && who != incarnation[s] -> done = true           /* fenced: drops what it holds */
    od;
    atomic { effect_done = false; forget() }
}

proctype Worker(byte s) {
    byte who, was, my_token, my_revision, my_step, at, my_deaths, my_life;
    bool told, held, done, effect_done, adopted;

again:
    atomic { my_life = life[s]; held = false; done = false; effect_done = false; forget() }
    {
end:
        do
        ::  /* a command, or the row of one that waits */
            atomic {
                incarnation[s] != 0 && owner == 0 && ((status == IDLED && s == 0) || (status == RUNNING && retry)) -> look();
#ifndef LATE_REGISTRATION
                enter()
#endif
            }
            atomic {
                if
                :: UNTOUCHED && MAY_CLAIM && owner == 0 && (status == IDLED || status == RUNNING) ->
                    assert(!dead[who]);  /* the dead claim nothing */
                    status = RUNNING; owner = who; token++; retry = false; abandoned = false; wrote();
                    my_token = token; at = step; told = cancel
                :: else -> forget()
                fi
            }
#ifdef LATE_REGISTRATION
            atomic {
                if
                :: who != 0 -> enter()
                :: else
                fi
            }
#endif
            if
            :: who != 0 -> work()
            :: else
            fi
        od
    } unless { life[s] != my_life };
    goto again
}

#ifdef ADOPTS_BLINDLY
#define AS_SEEN (status == RUNNING && MAY_CLAIM)
#else
#define AS_SEEN (UNTOUCHED && MAY_CLAIM && status == RUNNING)
#endif

/* nothing was wrong with it: it may only be taken from the dead, from those who let go of it, or from nobody */
inline take_over() {
    assert((owner != 0 && dead[owner]) || abandoned || (owner == 0 && !retry));
    died = died || (owner != 0 && dead[owner])
}

inline end_it() {
    assert(my_deaths <= real + died);  /* no death is counted twice */
    to_rest((my_deaths > CAP -> POISONED : BROKEN))
}

/* nobody wants to decide: adoption and verdict are one statement */
inline decide_at_once() {
    atomic {
        if
        :: AS_SEEN && !cancel -> take_over(); token++; retry = false; end_it()
        :: else
        fi;
        forget()
    }
}

/* sent back to work; this transaction counts the death */
inline resume() {
    assert(my_deaths <= real + died);             /* no death is counted twice */
    assert(my_deaths == real + died || excused);  /* and none is forgotten */
    deaths = my_deaths; real = my_deaths; died = false;
    excused = false; adopted = false; wrote(); at = step
}

/* the verdict, in one statement with what follows from it; a restorer may say resume, or nobody says anything: the status rule */
inline decide() {
    if
    :: told -> atomic {
            if
            :: HOLDS -> to_rest(CANCELLED)
            :: else -> refused()
            fi;
            forget()
        }
    :: !told && my_deaths <= CAP -> atomic {
            if
            :: HOLDS -> resume()
            :: else -> refused(); forget()
            fi
        }
        if
        :: who != 0 -> work()
        :: else
        fi
    :: !told -> atomic {
            if
            :: HOLDS && FLAGGED -> abandoned = true  /* the flag came first; the next sweep sees it */
            :: HOLDS && !FLAGGED -> token++; end_it()
            :: else -> refused()
            fi;
            forget()
        }
    fi
}

inline adopt() {
    atomic {
        if
        :: AS_SEEN -> take_over();
            assert(my_step == step);  /* the committed step never goes back: the whole row is written, as it was read */
            owner = who; token++; wrote(); my_token = token; abandoned = false; told = cancel; adopted = true;
#ifdef DEATHS_AT_ADOPTION
            deaths = my_deaths
#endif
        :: else -> forget()
        fi
    }
    if
    :: who == 0
    :: who != 0 && slips < SLIPS -> slip(); atomic { forget() }
    :: who != 0 -> decide()
    fi
}

proctype Sweeper(byte s) {
    byte who, was, my_token, my_revision, my_step, at, my_deaths, my_life;
    bool told, held, done, effect_done, adopted;

again:
    atomic { my_life = life[s]; held = false; done = false; effect_done = false; forget() }
    {
end:
        do
        :: atomic { incarnation[s] != 0 && registered[s] == 0 && IS_ORPHAN -> look(); my_deaths = deaths + (was != 0 && was != who); enter() }
            if
            :: true -> adopt()
            :: true -> decide_at_once()
            fi
        od
    } unless { life[s] != my_life };
    goto again
}

#define MOVING (status == IDLED || status == RUNNING)

inline start(server) { incarnations++; incarnation[server] = incarnations }

inline crash(server) { crashed[incarnation[server]] = true; registered[server] = 0; life[server]++; start(server) }

/* One who asks for the end: a flag on a Running process that has an owner, else a write like any other. */
proctype Person() {
end:
    atomic {
        status == RUNNING && owner != 0 -> cancel = true; accepted = true;
#ifdef CANCEL_RAISES_REVISION
        revision++
#endif
    }
}

/* What happens to servers. Once the process rests it is of no interest any more: late writes go on without it. */
proctype Environment() {
end:
    do
    :: atomic { MOVING && crashes < CRASHES -> crashes++;
            if
            :: crash(0)
            :: crash(SERVERS - 1)
            fi }
    :: atomic { MOVING && stalls < STALLS -> stalls++;
            if
            :: dead[incarnation[0]] = true
            :: dead[incarnation[SERVERS - 1]] = true
            fi }
    :: atomic {  /* a death is noticed sooner or later */
            MOVING && owner != 0 && crashed[owner] && !dead[owner] -> dead[owner] = true }
    :: atomic { MOVING && dead[incarnation[0]] -> start(0) }  /* a beat finds zero rows: the server goes on as another incarnation */
    :: atomic { MOVING && dead[incarnation[SERVERS - 1]] -> start(SERVERS - 1) }
    od
}

/* When nothing can happen any more. */
proctype End() {
    bool lost, forgotten;
    timeout ->
    lost = (status == RUNNING || status == IDLED);
    assert(!lost);                                    /* every process comes to rest */
    assert(owner == 0 && !retry);
    forgotten = (accepted && status != CANCELLED);
    assert(!forgotten);                               /* who was told "it will be cancelled" finds it so */
    assert(step == 0 || (journal[0] == 1 && effects[0] == 1));
    assert(step < 2 || (journal[1] == 1 && effects[1] == 1));
    assert(registered[0] == 0 && registered[SERVERS - 1] == 0)
}

init {
    byte s;
    atomic {
        for (s : 0 .. SERVERS - 1) { start(s); run Worker(s); run Sweeper(s) }
        run Person(); run Environment(); run End()
    }
}
