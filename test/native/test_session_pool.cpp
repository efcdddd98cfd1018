// Sessions that are used again, and memory that runs out while they are.
#include "cpu_generations.h"
#include "failing_allocations.h"

using namespace magnets;
using namespace magnets::test;

namespace {

/// A session that was used before, left in the middle and taken up again gives what a new one gives.
void a_session_can_be_used_again(Style style) {
  const auto pool = std::make_shared<SessionPool>(generator_of(style));
  const SessionOptions options = options_of(3, 5, true, style);
  const auto expected = decode(pool->generator(), options);
  const Session* first;
  {
    const SessionOptions others = options_of(3, 0, true, style);
    MaskedCounts counts(others);
    const auto session = pool->open(others);
    first = session.get();
    session->step(step_of(0, counts, Caching::cached));
    Step last = step_of(1, counts, Caching::cached);
    last.settings.guidance = 3e38f;
    session->step(last);
    check(session->faults() == std::vector<int32_t>(3, 1), "logits that overflow at step 1");
  }
  {
    const auto again = pool->open(options);
    check(again.get() == first, "an idle session of the size is taken");
    check(again->faults() == std::vector<int32_t>(3, kNoFault), "it forgets faults");
    Step step = first_step_of(options);
    step.refresh = false;
    check(error_of([&] { again->step(step); }).starts_with("ERR_INTERNAL expected a refresh"), "and its cache");
    check(pool->open(options).get() != first, "a session in use is not");
    check(decode(*again, options) == expected, "a session used again");
  }
  const auto plain = options_of(3, 0, false, style);
  {
    const auto other = pool->open(plain);
    check(other.get() != first, "one without guidance is another");
    other->step(first_step_of(plain));
  }
  check(pool->forward(plain.ids, plain.class_ids, kFull).logits ==
            forward(pool->generator(), plain.ids, plain.class_ids, kFull).logits,
        "a single pass in a session that was used");
}

/// What takes much memory is freed when it ends, and all that is kept when that is asked for.
void few_and_small_sessions_are_kept() {
  const auto pool = std::make_shared<SessionPool>(generator_of(Style::post));
  const auto kept = [&](int samples, const Session* before) {
    return pool->open(options_of(samples, 0, true, Style::post)).get() == before;
  };
  const auto bytes_of = [&](int samples) { return Session::bytes_of(pool->generator(), samples, true); };
  const size_t one = bytes_of(1);
  check(bytes_of(8) > 7 * one && bytes_of(8) < 9 * one, "samples take as much memory as there are");
  const int large = static_cast<int>((size_t{1025} << 20) / one) + 1;
  std::shared_ptr<Session> session = pool->open(options_of(2, 0, true, Style::post));
  check(session->bytes() == bytes_of(2), "a session knows its memory");
  const Session* small = session.get();
  session.reset();
  check(kept(2, small), "a small one is kept");
  session = pool->open(options_of(large, 0, true, Style::post));
  session.reset();
  check(pool->idle_bytes() == 0, "a large one is not, and it had all the memory there is");
  pool->open(options_of(2, 0, true, Style::post));
  check(pool->idle_bytes() == bytes_of(2), "a small one is kept again");
  pool->drop_idle();
  check(pool->idle_bytes() == 0, "nothing is kept that was dropped");
}

enum class Outcome { done, out_of_memory, another_error };

/// How `body` ends. Allocates nothing itself.
template <class Body>
Outcome outcome_of(const Body& body) {
  try {
    body();
  } catch (const std::bad_alloc&) {
    return Outcome::out_of_memory;
  } catch (const Error& error) {
    return error.code == "ERR_OUT_OF_MEMORY" ? Outcome::out_of_memory : Outcome::another_error;
  }
  return Outcome::done;
}

/// Fails every allocation of a request in turn. What comes after is not harmed: the same request gives the same tokens.
void running_out_of_memory_harms_nothing(Style style) {
  const auto config = config_of(style);
  const SessionOptions options = options_of(2, 0, true, style);
  const auto expected = decode(generator_of(config), options);
  const auto pool = std::make_shared<SessionPool>(generator_of(config));
  const auto request = [&] { return decode(*pool->open(options), options); };
  int failures = 0;
  for (const Memory memory : {Memory::scarce, Memory::gone}) {
    for (int before = 0, reached = true; reached; ++before) {
      Outcome outcome = Outcome::done;
      {
        const FailingAllocations failing(before, memory);
        outcome = outcome_of(request);
        reached = failing.failed();
      }
      failures += outcome == Outcome::out_of_memory;
      if (outcome == Outcome::another_error) check(false, "out of memory is told as another error");
      if (request() != expected)
        check(false, "other tokens after allocation " + std::to_string(before) + " has failed");
    }
  }
  check(failures > 20, "allocations that failed: " + std::to_string(failures));
}

}  // namespace

int main() {
  for (const Style style : {Style::post, Style::modulated}) a_session_can_be_used_again(style);
  few_and_small_sessions_are_kept();
  for (const Style style : {Style::pre, Style::modulated}) running_out_of_memory_harms_nothing(style);
  return report("session_pool");
}
