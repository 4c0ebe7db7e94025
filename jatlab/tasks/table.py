"""The tasks as plain data: names, environments and sizes, without importing any environment.

The 157 published tasks of control come first, then the language tasks. A task's name is its domain
and a short name (``babyai-go-to-local``). Sizes were read from the environments; the slow test in
``tests/tasks/test_all_tasks.py`` makes each of the 157 and compares.
"""

# short name: (game in the Arcade Learning Environment, size of its minimal action set)
ATARI = {
    "alien": ("Alien", 18), "amidar": ("Amidar", 10), "assault": ("Assault", 7),
    "asterix": ("Asterix", 9), "asteroids": ("Asteroids", 14), "atlantis": ("Atlantis", 4),
    "bankheist": ("BankHeist", 18), "battlezone": ("BattleZone", 18), "beamrider": ("BeamRider", 9),
    "berzerk": ("Berzerk", 18), "bowling": ("Bowling", 6), "boxing": ("Boxing", 18),
    "breakout": ("Breakout", 4), "centipede": ("Centipede", 18),
    "choppercommand": ("ChopperCommand", 18), "crazyclimber": ("CrazyClimber", 9),
    "defender": ("Defender", 18), "demonattack": ("DemonAttack", 6),
    "doubledunk": ("DoubleDunk", 18), "enduro": ("Enduro", 9), "fishingderby": ("FishingDerby", 18),
    "freeway": ("Freeway", 3), "frostbite": ("Frostbite", 18), "gopher": ("Gopher", 8),
    "gravitar": ("Gravitar", 18), "hero": ("Hero", 18), "icehockey": ("IceHockey", 18),
    "jamesbond": ("Jamesbond", 18), "kangaroo": ("Kangaroo", 18), "krull": ("Krull", 18),
    "kungfumaster": ("KungFuMaster", 14), "montezumarevenge": ("MontezumaRevenge", 18),
    "mspacman": ("MsPacman", 9), "namethisgame": ("NameThisGame", 6), "phoenix": ("Phoenix", 8),
    "pitfall": ("Pitfall", 18), "pong": ("Pong", 6), "privateeye": ("PrivateEye", 18),
    "qbert": ("Qbert", 6), "riverraid": ("Riverraid", 18), "roadrunner": ("RoadRunner", 18),
    "robotank": ("Robotank", 18), "seaquest": ("Seaquest", 18), "skiing": ("Skiing", 3),
    "solaris": ("Solaris", 18), "spaceinvaders": ("SpaceInvaders", 6),
    "stargunner": ("StarGunner", 18), "surround": ("Surround", 5), "tennis": ("Tennis", 18),
    "timepilot": ("TimePilot", 10), "tutankham": ("Tutankham", 8), "upndown": ("UpNDown", 6),
    "venture": ("Venture", 18), "videopinball": ("VideoPinball", 9),
    "wizardofwor": ("WizardOfWor", 10), "yarsrevenge": ("YarsRevenge", 18),
    "zaxxon": ("Zaxxon", 18),
}  # fmt: skip

# short name: level in MiniGrid's BabyAI
BABYAI = {
    "action-obj-door": "ActionObjDoor", "blocked-unlock-pickup": "BlockedUnlockPickup",
    "boss-level-no-unlock": "BossLevelNoUnlock", "boss-level": "BossLevel",
    "find-obj-s5": "FindObjS5", "go-to-door": "GoToDoor", "go-to-imp-unlock": "GoToImpUnlock",
    "go-to-local": "GoToLocal", "go-to-obj-door": "GoToObjDoor", "go-to-obj": "GoToObj",
    "go-to-red-ball-grey": "GoToRedBallGrey", "go-to-red-ball-no-dists": "GoToRedBallNoDists",
    "go-to-red-ball": "GoToRedBall", "go-to-red-blue-ball": "GoToRedBlueBall",
    "go-to-seq": "GoToSeq", "go-to": "GoTo", "key-corridor": "KeyCorridor",
    "mini-boss-level": "MiniBossLevel", "move-two-across-s8n9": "MoveTwoAcrossS8N9",
    "one-room-s8": "OneRoomS8", "open-door": "OpenDoor", "open-doors-order-n4": "OpenDoorsOrderN4",
    "open-red-door": "OpenRedDoor", "open-two-doors": "OpenTwoDoors", "open": "Open",
    "pickup-above": "PickupAbove", "pickup-dist": "PickupDist", "pickup-loc": "PickupLoc",
    "pickup": "Pickup", "put-next-local": "PutNextLocal", "put-next": "PutNextS7N4",
    "synth-loc": "SynthLoc", "synth-seq": "SynthSeq", "synth": "Synth",
    "unblock-pickup": "UnblockPickup", "unlock-local": "UnlockLocal",
    "unlock-pickup": "UnlockPickup", "unlock-to-unlock": "UnlockToUnlock", "unlock": "Unlock",
}  # fmt: skip

# the short names are Meta-World's
METAWORLD = (
    "assembly", "basketball", "bin-picking", "box-close", "button-press-topdown-wall",
    "button-press-topdown", "button-press-wall", "button-press", "coffee-button", "coffee-pull",
    "coffee-push", "dial-turn", "disassemble", "door-close", "door-lock", "door-open",
    "door-unlock", "drawer-close", "drawer-open", "faucet-close", "faucet-open", "hammer",
    "hand-insert", "handle-press-side", "handle-press", "handle-pull-side", "handle-pull",
    "lever-pull", "peg-insert-side", "peg-unplug-side", "pick-out-of-hole", "pick-place-wall",
    "pick-place", "plate-slide-back-side", "plate-slide-back", "plate-slide-side", "plate-slide",
    "push-back", "push-wall", "push", "reach-wall", "reach", "shelf-place", "soccer", "stick-pull",
    "stick-push", "sweep-into", "sweep", "window-close", "window-open",
)  # fmt: skip

# short name: (published environment, observation size, action size, loss weight)
MUJOCO = {
    "ant": ("Ant-v4", 27, 8, 10.0),
    "doublependulum": ("InvertedDoublePendulum-v4", 11, 1, 20.0),
    "halfcheetah": ("HalfCheetah-v4", 17, 6, 10.0),
    "hopper": ("Hopper-v4", 11, 3, 10.0),
    "humanoid": ("Humanoid-v4", 376, 17, 10.0),
    "pendulum": ("InvertedPendulum-v4", 4, 1, 50.0),
    "pusher": ("Pusher-v4", 23, 7, 10.0),
    "reacher": ("Reacher-v4", 11, 2, 10.0),
    "standup": ("HumanoidStandup-v4", 376, 17, 10.0),
    "swimmer": ("Swimmer-v4", 8, 2, 10.0),
    "walker": ("Walker2d-v4", 17, 6, 10.0),
}

GRID_SIZE = 1 + 7 * 7 * 3  # direction, then 7x7 cells of (object, colour, state)
FRAMES = (4, 84, 84)  # stacked grey frames

# Where our environment differs from the published one.
METAWORLD_NOTE = (
    "v3 instead of v2; the goal is visible "
    "(the published observations end in three zeros: hide_goal=True)"
)
METAWORLD_NOTES = {
    "button-press-topdown-wall": (
        f"{METAWORLD_NOTE}; the reward pays for an open gripper, "
        "so a random policy gets 53 instead of 29"
    ),
}
PUSHER_NOTE = "Pusher-v5 instead of Pusher-v4, which needs a MuJoCo older than 3"

# name: a note for a task that is not in the published data set
TEXT = {
    "wikipedia": "",
    "oscar": "",
    "python-docs": "jatlab's own: the documentation inside CPython",
}
VISION = {
    "conceptual-captions": "",
    "ok-vqa": "",
    "minigrid-captions": "jatlab's own: MiniGrid scenes, captions derived from the grid",
    "minigrid-questions": (
        "jatlab's own: MiniGrid scenes, questions and answers derived from the grid"
    ),
}
