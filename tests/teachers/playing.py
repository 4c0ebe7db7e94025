"""An episode of a teacher."""


def play(env, teacher, seed):
    """Return, and the actions taken, of one episode."""
    observation, _ = env.reset(seed=seed)
    teacher.reset(env, seed)
    total, actions, done = 0.0, [], False
    while not done:
        actions.append(teacher.act(observation))
        observation, reward, terminated, truncated, info = env.step(actions[-1])
        total, done = total + reward, terminated or truncated
    return total, actions
