// Helpers for JNI: threads, exceptions, and values that cross the boundary.

#ifndef JAVA_HPP
#define JAVA_HPP

#include <jni.h>

#include <string>
#include <vector>

#include "scheduler.hpp"

namespace java {

// Thrown when a Java exception is pending; ends the native method or callback.
struct PendingException {};

inline void check(JNIEnv* env)
{
  if (env->ExceptionCheck()) {
    throw PendingException();
  }
}


[[noreturn]] inline void raise(
    JNIEnv* env, const char* exception, const std::string& message)
{
  jclass clazz = env->FindClass(exception);
  if (clazz != nullptr) {
    env->ThrowNew(clazz, message.c_str());
  }
  throw PendingException();
}


// Calls a method that returns an object.
template <typename T = jobject, typename... Arguments>
T call(
    JNIEnv* env,
    jobject object,
    const char* method,
    const char* signature,
    Arguments... arguments)
{
  if (object == nullptr) {
    raise(env, "java/lang/NullPointerException", method);
  }
  const jmethodID id =
    env->GetMethodID(env->GetObjectClass(object), method, signature);
  check(env);
  jobject result = env->CallObjectMethod(object, id, arguments...);
  check(env);
  return static_cast<T>(result);
}


inline jfieldID field(
    JNIEnv* env, jobject object, const char* name, const char* signature)
{
  const jfieldID id =
    env->GetFieldID(env->GetObjectClass(object), name, signature);
  check(env);
  return id;
}


inline jobject get(
    JNIEnv* env, jobject object, const char* name, const char* signature)
{
  return env->GetObjectField(object, field(env, object, name, signature));
}


// The JNI environment of the current thread for the life of this object.  A
// thread of libprocess gets attached to the JVM, as a daemon so that it does
// not keep the JVM alive.
class Environment
{
public:
  explicit Environment(JavaVM* vm) : jvm(vm)
  {
    void** out = reinterpret_cast<void**>(&env);
    if (jvm->GetEnv(out, JNI_VERSION_1_6) == JNI_OK) {
      env->PushLocalFrame(16);
      return;
    }
    char name[] = "mesos-scheduler";
    JavaVMAttachArgs arguments = {JNI_VERSION_1_6, name, nullptr};
    attached = jvm->AttachCurrentThreadAsDaemon(out, &arguments) == JNI_OK;
    if (!attached) {
      env = nullptr; // The JVM is going down.
    }
  }

  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

  ~Environment()
  {
    if (attached) {
      jvm->DetachCurrentThread();
    } else if (env != nullptr) {
      env->PopLocalFrame(nullptr);
    }
  }

  JNIEnv* get() const { return env; }

private:
  JavaVM* const jvm;
  JNIEnv* env = nullptr;
  bool attached = false;
};


// The class org.apache.mesos.Protos$NAME for the message T.  Classes are looked
// up when the library is loaded: later, a thread of libprocess would see the
// system class loader only.
template <typename T>
struct MessageClass
{
  static inline jclass clazz;
  static inline jmethodID parseFrom;

  static void load(JNIEnv* env, const std::string& name)
  {
    const std::string type = "org/apache/mesos/Protos$" + name;
    jclass local = env->FindClass(type.c_str());
    check(env);
    parseFrom = env->GetStaticMethodID(
        local, "parseFrom", ("([B)L" + type + ";").c_str());
    check(env);
    clazz = static_cast<jclass>(env->NewGlobalRef(local));
  }
};


// From Java ------------------------------------------------------------------

inline std::string bytes(JNIEnv* env, jbyteArray array)
{
  if (array == nullptr) {
    raise(env, "java/lang/NullPointerException", "byte array");
  }
  const jsize size = env->GetArrayLength(array);
  std::string data(static_cast<size_t>(size), '\0');
  env->GetByteArrayRegion(
      array, 0, size, reinterpret_cast<jbyte*>(data.data()));
  return data;
}


inline std::string text(JNIEnv* env, jobject string)
{
  return bytes(env, call<jbyteArray>(
      env, string, "getBytes", "(Ljava/lang/String;)[B",
      env->NewStringUTF("UTF-8")));
}


template <typename T>
T message(JNIEnv* env, jobject object)
{
  const std::string data =
    bytes(env, call<jbyteArray>(env, object, "toByteArray", "()[B"));

  T result;
  if (!result.ParseFromArray(data.data(), static_cast<int>(data.size()))) {
    raise(env, "java/lang/IllegalArgumentException",
          "libmesos cannot parse the message");
  }
  return result;
}


template <typename T>
std::vector<T> messages(JNIEnv* env, jobject collection)
{
  auto array = call<jobjectArray>(
      env, collection, "toArray", "()[Ljava/lang/Object;");

  const jsize size = env->GetArrayLength(array);
  std::vector<T> result;
  result.reserve(static_cast<size_t>(size));
  for (jsize i = 0; i < size; i++) {
    jobject element = env->GetObjectArrayElement(array, i);
    result.push_back(message<T>(env, element));
    env->DeleteLocalRef(element);
  }
  return result;
}


// To Java --------------------------------------------------------------------

inline jbyteArray object(JNIEnv* env, const std::string& data)
{
  const auto size = static_cast<jsize>(data.size());
  jbyteArray array = env->NewByteArray(size);
  check(env);
  env->SetByteArrayRegion(
      array, 0, size, reinterpret_cast<const jbyte*>(data.data()));
  return array;
}


template <typename T>
jobject object(JNIEnv* env, const T& message)
{
  std::string data;
  message.SerializeToString(&data);

  jbyteArray array = object(env, data);
  jobject result = env->CallStaticObjectMethod(
      MessageClass<T>::clazz, MessageClass<T>::parseFrom, array);
  check(env);
  env->DeleteLocalRef(array);
  return result;
}


template <typename T>
jobject object(JNIEnv* env, const std::vector<T>& messages)
{
  jclass clazz = env->FindClass("java/util/ArrayList");
  jobject list =
    env->NewObject(clazz, env->GetMethodID(clazz, "<init>", "()V"));
  check(env);

  const jmethodID add =
    env->GetMethodID(clazz, "add", "(Ljava/lang/Object;)Z");
  for (const T& message : messages) {
    jobject element = object(env, message);
    env->CallBooleanMethod(list, add, element);
    check(env);
    env->DeleteLocalRef(element);
  }
  return list;
}


inline jobject string(JNIEnv* env, const std::string& text)
{
  jclass clazz = env->FindClass("java/lang/String");
  const jmethodID constructor =
    env->GetMethodID(clazz, "<init>", "([BLjava/lang/String;)V");
  jobject result = env->NewObject(
      clazz, constructor, object(env, text), env->NewStringUTF("UTF-8"));
  check(env);
  return result;
}

} // namespace java {

#endif // JAVA_HPP
