// What CUDA C++ has beyond C++, for one thread of the CPU: a fiber for each CUDA thread that waits, one block after the other.
//
// A thread runs until it ends or waits for others. Which of the threads that could run goes next is the order's choice:
// what is right only in one of them misses a barrier. Shared memory holds poison when a block begins, so that what an earlier
// block left is not mistaken for this one's.

#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#define EMULATED
#define KERNEL static
#define __device__ static
#define __shared__ static __attribute__((section("shared_memory")))

struct Index3 {
  unsigned x, y, z;
};

namespace emulator {

enum State { READY, AT_BARRIER, AT_WARP, ENDED };

enum Outcome {
  DONE = 0,
  ARGUMENT_COUNT = 1,
  ARGUMENT = 2,
  DIVERGENT_BARRIER = 3,
  DIVERGENT_WARP = 4,
  PARTIAL_MASK = 5,
  OUT_OF_BOUNDS = 6,
  UNDEFINED = 7
};

enum Kind { VALUE = 0, TO_READ = 1, TO_WRITE = 2, NOTHING = 3 };

struct Argument {
  int kind;
  // Of a value, or of an element behind a pointer.
  uint64_t size;
  void *data;
};

struct Launch {
  unsigned grid, block;
  // 0: the lowest thread first; 1: the highest first; else the seed of a random order.
  uint64_t order;
  uint64_t count;
  const Argument *arguments;
  // Out: the argument at fault.
  uint64_t fault;
};

const unsigned WARP = 32, THREADS = 1024;
const size_t STACK = 64 * 1024;

struct Fiber {
  ucontext_t context;
  jmp_buf point;
  char *stack;
  bool begun;
  State state;
  unsigned exchanges;
};

static Fiber fibers[THREADS];
static uint64_t exchanged[2][THREADS];
static jmp_buf scheduler;
static unsigned current, threads;
static Outcome outcome;
static Index3 block_index, grid_size;
static void (*run_kernel)(const Launch &);
static const Launch *launched;
static uint64_t random_state;

// The next number of a SplitMix64.
static uint64_t random_word() {
  uint64_t z = random_state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

[[noreturn]] static void to_scheduler() { _longjmp(scheduler, 1); }

[[noreturn]] static void fail(Outcome why) {
  outcome = why;
  to_scheduler();
}

// Threads that end leave their fiber to another launch's.
static void fiber_main() {
  for (;;) {
    run_kernel(*launched);
    Fiber &me = fibers[current];
    me.state = ENDED;
    if (_setjmp(me.point) == 0) to_scheduler();
  }
}

static void wait(State state) {
  Fiber &me = fibers[current];
  me.state = state;
  if (_setjmp(me.point) == 0) to_scheduler();
}

static void resume(unsigned thread) {
  current = thread;
  Fiber &fiber = fibers[thread];
  if (_setjmp(scheduler) != 0) return;
  if (fiber.begun) _longjmp(fiber.point, 1);
  if (!fiber.stack) fiber.stack = static_cast<char *>(malloc(STACK));
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = fiber.stack;
  fiber.context.uc_stack.ss_size = STACK;
  fiber.context.uc_link = nullptr;
  makecontext(&fiber.context, fiber_main, 0);
  fiber.begun = true;
  setcontext(&fiber.context);
}

// Lets every warp go on whose lanes all wait for each other, then every block; false where nothing can go on.
static bool release() {
  bool released = false;
  unsigned waiting = 0, ended = 0;
  for (unsigned first = 0; first < threads; first += WARP) {
    unsigned end = first + WARP < threads ? first + WARP : threads, at_warp = 0;
    for (unsigned i = first; i < end; ++i) {
      at_warp += fibers[i].state == AT_WARP;
      waiting += fibers[i].state == AT_BARRIER;
      ended += fibers[i].state == ENDED;
    }
    if (at_warp != 0 && at_warp == end - first) {
      for (unsigned i = first; i < end; ++i) fibers[i].state = READY;
      released = true;
    }
  }
  if (released || ended == threads) return released;
  if (waiting != threads) {
    outcome = waiting + ended == threads ? DIVERGENT_BARRIER : DIVERGENT_WARP;
    return false;
  }
  for (unsigned i = 0; i < threads; ++i) fibers[i].state = READY;
  return true;
}

// The thread that runs next: `threads` where none can.
static unsigned next(uint64_t order) {
  unsigned ready = 0;
  for (unsigned i = 0; i < threads; ++i) {
    if (fibers[i].state != READY) continue;
    ++ready;
    if (order == 0) return i;
  }
  if (ready == 0) return threads;
  uint64_t chosen = order == 1 ? ready - 1 : random_word() % ready;
  for (unsigned i = 0; i < threads; ++i) {
    if (fibers[i].state == READY && chosen-- == 0) return i;
  }
  return threads;
}

extern "C" char __start_shared_memory[] __attribute__((weak));
extern "C" char __stop_shared_memory[] __attribute__((weak));

static void run_block(uint64_t order) {
  if (__start_shared_memory) memset(__start_shared_memory, 0xff, (size_t)(__stop_shared_memory - __start_shared_memory));
  for (unsigned i = 0; i < threads; ++i) {
    fibers[i].state = READY;
    fibers[i].exchanges = 0;
  }
  do {
    unsigned thread;
    while (outcome == DONE && (thread = next(order)) < threads) resume(thread);
  } while (outcome == DONE && release());
}

static sigjmp_buf before_fault;
static thread_local bool running;

// A kernel that leaves its buffers meets a page that may not be touched; one whose behaviour is undefined, a trap.
static void on_fault(int signal_number) {
  if (running) siglongjmp(before_fault, signal_number == SIGSEGV || signal_number == SIGBUS ? OUT_OF_BOUNDS : UNDEFINED);
  signal(signal_number, SIG_DFL);
  raise(signal_number);
}

static const int SIGNALS[] = {SIGSEGV, SIGBUS, SIGILL, SIGTRAP};

static void run_grid(const Launch &launch) {
  for (unsigned i = 0; i < launch.grid && outcome == DONE; ++i) {
    block_index = {launch.order == 1 ? launch.grid - 1 - i : i, 0, 0};
    run_block(launch.order);
  }
}

// After a failure threads are left where they were, and their fibers begin anew.
static int run(void (*kernel)(const Launch &), Launch &launch) {
  run_kernel = kernel;
  launched = &launch;
  outcome = DONE;
  threads = launch.block;
  grid_size = {launch.grid, 1, 1};
  random_state = launch.order;
  struct sigaction ours, theirs[4];
  memset(&ours, 0, sizeof ours);
  ours.sa_handler = on_fault;
  for (int i = 0; i < 4; ++i) sigaction(SIGNALS[i], &ours, &theirs[i]);
  running = true;
  int fault = sigsetjmp(before_fault, 1);
  if (fault == 0) {
    run_grid(launch);
  } else {
    outcome = (Outcome)fault;
  }
  running = false;
  for (int i = 0; i < 4; ++i) sigaction(SIGNALS[i], &theirs[i], nullptr);
  if (outcome != DONE) {
    for (Fiber &fiber : fibers) fiber.begun = false;
  }
  return outcome;
}

// Whether an argument is what a parameter takes.
template <class T>
struct Parameter {
  static bool takes(const Argument &a) { return a.kind == VALUE && a.size == sizeof(T); }
  static T of(const Argument &a) { return *static_cast<const T *>(a.data); }
};

template <class T>
struct Parameter<T *> {
  static bool takes(const Argument &a) { return a.kind == NOTHING || (a.kind == TO_WRITE && a.size == sizeof(T)); }
  static T *of(const Argument &a) { return static_cast<T *>(a.data); }
};

template <class T>
struct Parameter<const T *> {
  static bool takes(const Argument &a) { return a.kind == NOTHING || (a.kind != VALUE && a.size == sizeof(T)); }
  static const T *of(const Argument &a) { return static_cast<const T *>(a.data); }
};

template <auto kernel>
struct Call;

template <class... P, void (*kernel)(P...)>
struct Call<kernel> {
  static void run(const Launch &launch) {
    Tuple<P...>{launch.arguments}.pass(kernel);
  }

  static int check(Launch &launch) {
    if (launch.count != sizeof...(P)) return ARGUMENT_COUNT;
    const Argument *next = launch.arguments;
    const bool takes[] = {Parameter<P>::takes(*next++)...};
    for (launch.fault = 0; launch.fault < launch.count; ++launch.fault) {
      if (!takes[launch.fault]) return ARGUMENT;
    }
    return DONE;
  }

 private:
  template <class... Q>
  struct Tuple {
    const Argument *arguments;

    template <class F, class... Done>
    void pass(F f, Done... done) const {
      f(done...);
    }
  };

  template <class First, class... Rest>
  struct Tuple<First, Rest...> {
    const Argument *arguments;

    template <class F, class... Done>
    void pass(F f, Done... done) const {
      Tuple<Rest...>{arguments + 1}.pass(f, done..., Parameter<First>::of(*arguments));
    }
  };
};

template <auto kernel>
int start(Launch &launch) {
  int fault = Call<kernel>::check(launch);
  return fault != DONE ? fault : run(Call<kernel>::run, launch);
}

template <class T>
T exchange(unsigned mask, T value, unsigned source) {
  if (mask != 0xffffffffu) fail(PARTIAL_MASK);
  // A lane that is ahead writes into the other half.
  uint64_t *half = exchanged[fibers[current].exchanges++ % 2];
  memcpy(&half[current], &value, sizeof value);
  wait(AT_WARP);
  memcpy(&value, &half[current / WARP * WARP + source], sizeof value);
  return value;
}

}  // namespace emulator

#define threadIdx (Index3{emulator::current, 0, 0})
#define blockIdx (emulator::block_index)
#define blockDim (Index3{emulator::threads, 1, 1})
#define gridDim (emulator::grid_size)

static void __syncthreads() { emulator::wait(emulator::AT_BARRIER); }

static void __syncwarp() { emulator::wait(emulator::AT_WARP); }

template <class T>
T __shfl_sync(unsigned mask, T value, unsigned lane) {
  return emulator::exchange(mask, value, lane % emulator::WARP);
}

template <class T>
T __shfl_xor_sync(unsigned mask, T value, unsigned lanes) {
  return emulator::exchange(mask, value, (emulator::current ^ lanes) % emulator::WARP);
}

template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned lanes) {
  unsigned lane = emulator::current % emulator::WARP;
  return emulator::exchange(mask, value, lane + lanes < emulator::WARP ? lane + lanes : lane);
}

template <class T>
T atomicAdd(T *sum, T value) {
  T before = *sum;
  *sum = before + value;
  return before;
}

template <class T>
T atomicMax(T *max, T value) {
  T before = *max;
  if (value > before) *max = value;
  return before;
}

template <class To, class From>
To bits_as(From from) {
  static_assert(sizeof(To) == sizeof(From), "a number and its bits");
  To to;
  memcpy(&to, &from, sizeof to);
  return to;
}

static float __int_as_float(int bits) { return bits_as<float>(bits); }
static int __float_as_int(float value) { return bits_as<int>(value); }
static double __longlong_as_double(long long bits) { return bits_as<double>(bits); }
static long long __double_as_longlong(double value) { return bits_as<long long>(value); }

static float float_of_half(unsigned short half) {
  uint32_t sign = (uint32_t)(half & 0x8000u) << 16, exponent = half >> 10 & 31, fraction = half & 1023;
  if (exponent == 31) return bits_as<float>(sign | 0x7f800000u | fraction << 13);
  if (exponent != 0) return bits_as<float>(sign | (exponent + 112) << 23 | fraction << 13);
  // A multiple of 2⁻²⁴, which float32 holds.
  float value = (float)fraction * bits_as<float>((uint32_t)(127 - 24) << 23);
  return sign ? -value : value;
}

// Rounds to the nearest, ties to even.
static unsigned short half_of_float(float value) {
  uint32_t bits = bits_as<uint32_t>(value), sign = bits >> 16 & 0x8000u, size = bits & 0x7fffffffu;
  if (size > 0x7f800000u) return (unsigned short)(sign | 0x7fffu);
  // From 65520 on, half of a step above the largest.
  if (size >= 0x477ff000u) return (unsigned short)(sign | 0x7c00u);
  if (size < 0x38800000u) {
    // Added to ½, whose last place is 2⁻²⁴, it is rounded to a multiple of that.
    float sum = bits_as<float>(size) + 0.5f;
    return (unsigned short)(sign | (bits_as<uint32_t>(sum) - 0x3f000000u));
  }
  uint32_t rounded = size + 0xfffu + (size >> 13 & 1u);
  return (unsigned short)(sign | ((rounded - 0x38000000u) >> 13));
}
