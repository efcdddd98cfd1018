#include "session_pool.h"

#include <algorithm>

namespace magnets {

namespace {

/// They hold memory: enough for a caller that alternates between two sizes, or runs two batches at once.
constexpr size_t kMostIdle = 2;

}  // namespace

std::shared_ptr<Session> SessionPool::open(const SessionOptions& options) {
  const int samples = static_cast<int>(options.class_ids.size());
  const bool guided = options.null_class_id.has_value();
  std::unique_ptr<Session> session = take(samples, guided);
  if (!session) {
    try {
      session = std::make_unique<Session>(generator_, samples, guided);
    } catch (const Error& error) {
      if (error.code != "ERR_OUT_OF_MEMORY") throw;
      drop_idle();
      session = std::make_unique<Session>(generator_, samples, guided);
    }
  }
  session->start(options);
  return {session.release(), [pool = weak_from_this()](Session* ended) {
            std::unique_ptr<Session> own(ended);
            if (const auto alive = pool.lock()) alive->keep(std::move(own));
          }};
}

std::unique_ptr<Session> SessionPool::take(int samples, bool guided) {
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(idle_.begin(), idle_.end(), [&](const auto& session) {
    return session->samples() == samples && session->guided() == guided;
  });
  if (found == idle_.end()) return nullptr;
  std::unique_ptr<Session> session = std::move(*found);
  idle_.erase(found);
  return session;
}

void SessionPool::keep(std::unique_ptr<Session> session) {
  std::list<std::unique_ptr<Session>> dropped;  // freed without the lock
  const std::lock_guard lock(mutex_);
  idle_.push_front(std::move(session));
  if (idle_.size() > kMostIdle) dropped.splice(dropped.begin(), idle_, std::prev(idle_.end()));
}

void SessionPool::drop_idle() {
  std::list<std::unique_ptr<Session>> dropped;
  const std::lock_guard lock(mutex_);
  dropped.swap(idle_);
}

}  // namespace magnets
