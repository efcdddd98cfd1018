// A session: one batch, step by step.
#include "objects.h"
#include "values.h"

namespace magnets::addon {

namespace {

Width to_width(const Napi::Object& object) { return {to_int(object, "heads"), to_int(object, "hidden")}; }

/// What a step returns besides its FLOPs, where the caller wants to read it.
struct Tokens {
  std::vector<int32_t> ids;
  std::vector<uint8_t> masked;
  std::vector<int32_t> faults;

  static Tokens of(Session& session) { return {session.ids(), session.masked(), session.faults()}; }
  void set_on(Napi::Object& object) const {
    object.Set("ids", to_array(object.Env(), ids));
    object.Set("masked", to_array(object.Env(), masked));
    object.Set("faults", to_array(object.Env(), faults));
  }
};

}  // namespace

Napi::Function SessionObject::define(Napi::Env env) {
  return DefineClass(env, "NativeSession",
                     {InstanceMethod<&SessionObject::step>("step"), InstanceMethod<&SessionObject::compute>("compute"),
                      InstanceMethod<&SessionObject::reveal>("reveal"), disposer()});
}

Napi::Value SessionObject::step(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return coded(env, [&] {
    const auto object = info[0].ToObject();
    const Step step{
        .width = to_width(object),
        .refresh = to_bool(object, "refresh"),
        .all_logits = to_bool(object, "allLogits"),
        .active_rows = to_int(object, "activeRows"),
        .logits_rows = to_int(object, "logitsRows"),
        .masked_after = to_vector<int32_t>(object.Get("maskedAfter")),
        .settings = {.guidance = to_float(object, "guidance"),
                     .temperature = to_float(object, "temperature"),
                     .top_k = to_int(object, "topK"),
                     .choice_temperature = to_float(object, "choiceTemperature"),
                     .step = static_cast<uint32_t>(to_int(object, "step")),
                     .confidence = to_confidence(object.Get("confidence"))},
        .abandoned = to_vector<int32_t>(object.Get("abandoned")),
    };
    const bool read = to_bool(object, "read");
    return queue(env).submit(env, [session = value(env), life = life(), step, read]() -> Settle {
      if (life.expired()) throw Error("ERR_DISPOSED", "this session has been disposed");
      const Flops before = session->flops();
      const std::optional<Profile> profile_before = session->profile();
      session->step(step);
      const Flops flops = session->flops() - before;
      std::optional<Profile> profile;
      if (profile_before) profile = *session->profile() - *profile_before;
      const auto tokens = std::make_shared<const Tokens>(read ? Tokens::of(*session) : Tokens{});
      return [flops, profile, tokens, read](Napi::Env env) {
        auto object = Napi::Object::New(env);
        object.Set("flops", to_object(env, flops));
        if (profile) object.Set("profile", to_object(env, *profile));
        if (read) tokens->set_on(object);
        return object;
      };
    });
  });
}

Napi::Value SessionObject::compute(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return coded(env, [&] {
    const auto object = info[0].ToObject();
    const Width width = to_width(object);
    const bool refresh = to_bool(object, "refresh"), all_logits = to_bool(object, "allLogits");
    return queue(env).submit(env, [session = value(env), width, refresh, all_logits]() -> Settle {
      const Flops before = session->flops();
      session->compute(width, refresh, all_logits);
      const Flops flops = session->flops() - before;
      const auto logits = std::make_shared<const std::vector<float>>(session->logits());
      return [flops, logits, rows = session->logits_rows()](Napi::Env env) {
        auto object = Napi::Object::New(env);
        object.Set("flops", to_object(env, flops));
        object.Set("logits", to_array(env, *logits));
        object.Set("logitsRows", rows);
        return object;
      };
    });
  });
}

Napi::Value SessionObject::reveal(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return coded(env, [&] {
    const auto given = to_vector<int32_t>(info[0]);
    return queue(env).submit(env, [session = value(env), given]() -> Settle {
      session->reveal(given);
      const auto tokens = std::make_shared<const Tokens>(Tokens::of(*session));
      return [tokens](Napi::Env env) {
        auto object = Napi::Object::New(env);
        tokens->set_on(object);
        return object;
      };
    });
  });
}

}  // namespace magnets::addon
