"""DVC, used as a library: where data is kept, and what a project tracks.

`remote.py` opens a remote and says in our words what is wrong with it, `objects.py` moves a folder to it and back,
`tracked.py` pushes and pulls what the project itself tracks. DVC's command line is never run, so neither its usage
statistics nor its search for updates are.
"""
